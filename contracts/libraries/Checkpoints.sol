// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

import {Checkpoint} from "../interfaces/IUsageMeter.sol";

/// @notice A `Checkpoint` in one word. From the lowest bit: toEpoch 24, span 8, postedAt 32, then available, due, busy and
/// curtailed, 48 each. Packed by hand because the compiler's copying cost a tenth of a report.
type PackedCheckpoint is uint256;

using Checkpoints for PackedCheckpoint global;

/// @title Checkpoints
library Checkpoints {
    /// @notice The checkpoint after a report on `(from, to]` posted at `time`.
    /// @dev Warning: the caller bounds each total below 2^48, and the span below 256.
    function add(
        PackedCheckpoint last,
        uint256 from,
        uint256 to,
        uint256 time,
        uint256 moreAvailable,
        uint256 moreDue,
        uint256 moreBusy,
        uint256 moreCurtailed
    ) internal pure returns (PackedCheckpoint) {
        unchecked {
            uint256 added = moreAvailable + (moreDue << 48) + (moreBusy << 96) + (moreCurtailed << 144);
            uint256 totals = (PackedCheckpoint.unwrap(last) >> 64) + added;
            return PackedCheckpoint.wrap(totals << 64 | time << 32 | (to - from) << 24 | to);
        }
    }

    function toEpoch(PackedCheckpoint c) internal pure returns (uint256) {
        return uint24(PackedCheckpoint.unwrap(c));
    }

    function fromEpoch(PackedCheckpoint c) internal pure returns (uint256) {
        return toEpoch(c) - uint8(PackedCheckpoint.unwrap(c) >> 24);
    }

    function postedAt(PackedCheckpoint c) internal pure returns (uint256) {
        return uint32(PackedCheckpoint.unwrap(c) >> 32);
    }

    function available(PackedCheckpoint c) internal pure returns (uint256) {
        return uint48(PackedCheckpoint.unwrap(c) >> 64);
    }

    function due(PackedCheckpoint c) internal pure returns (uint256) {
        return uint48(PackedCheckpoint.unwrap(c) >> 112);
    }

    function curtailed(PackedCheckpoint c) internal pure returns (uint256) {
        return PackedCheckpoint.unwrap(c) >> 208;
    }

    function unpack(PackedCheckpoint c) internal pure returns (Checkpoint memory) {
        uint256 word = PackedCheckpoint.unwrap(c);
        return Checkpoint({
            toEpoch: uint24(word),
            span: uint8(word >> 24),
            postedAt: uint32(word >> 32),
            available: uint48(word >> 64),
            due: uint48(word >> 112),
            busy: uint48(word >> 160),
            curtailed: uint48(word >> 208)
        });
    }
}
