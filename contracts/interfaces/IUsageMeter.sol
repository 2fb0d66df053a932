// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IIdentityRegistry} from "./IIdentityRegistry.sol";
import {ILeaseBook} from "./ILeaseBook.sol";

/// @notice What a report adds to one lease. Epoch boundaries are unix hours: `(fromEpoch, toEpoch]` covers the time
/// `[fromEpoch * 3600, toEpoch * 3600)`, clipped to the lease.
/// @param round How often reports of this lease have been voided; a signature for another round does not count.
/// @param available GPU-seconds that met the listing. @param busy GPU-seconds of them in use.
/// @param curtailed GPU-seconds switched off for the grid. @param wattHours Energy drawn, Wh.
struct Entry {
    uint256 leaseId;
    uint32 fromEpoch;
    uint32 toEpoch;
    uint32 round;
    uint64 available;
    uint64 busy;
    uint64 curtailed;
    uint64 wattHours;
}

/// @param samplesRoot Merkle root over the samples of all entries; 0 with none published.
struct Report {
    uint256 siteId;
    bytes32 samplesRoot;
    Entry[] entries;
}

/// @notice One GPU's hour. Leaf: `keccak256(bytes.concat(keccak256(abi.encode(sample))))`, as OpenZeppelin's
/// StandardMerkleTree. `epoch` is the boundary at which its hour ends.
struct Sample {
    uint256 leaseId;
    uint32 epoch;
    uint32 gpu;
    uint32 available;
    uint32 busy;
    uint32 curtailed;
    uint32 wattHours;
}

/// @notice A lease's totals after one report, in one slot.
/// @param span `toEpoch - fromEpoch`. @param due Contract GPU-seconds reported, less curtailed ones.
struct Checkpoint {
    uint24 toEpoch;
    uint8 span;
    uint32 postedAt;
    uint48 available;
    uint48 due;
    uint48 busy;
    uint48 curtailed;
}

enum SkipReason {
    None,
    UnknownLease,
    WrongSite,
    WrongRound,
    Overlap,
    Lapsed,
    NotOver,
    EmptySpan,
    OutsideLease,
    AboveCapacity,
    BusyAboveAvailable,
    CurtailedAboveShare,
    RingFull,
    SpanTooLong
}

/// @title IUsageMeter
/// @notice Utilisation attested by m of n meters. A report is final six hours after it was posted; until then a
/// challenger may void it and the later ones, an epoch at most twice. Epochs unreported a day after their end, or
/// after a void, lapse for good; so do epochs that a report leaves out before its first.
interface IUsageMeter {
    event Reported(uint256 indexed reportId, uint256 indexed siteId, bytes32 samplesRoot, address submitter);
    /// @notice Increases that one entry brought; `due` is the contract's GPU-seconds of the span less curtailed ones.
    event UsageRecorded(
        uint256 indexed leaseId,
        uint256 indexed reportId,
        uint32 fromEpoch,
        uint32 toEpoch,
        uint32 round,
        uint64 available,
        uint64 busy,
        uint64 curtailed,
        uint64 wattHours,
        uint64 due
    );
    event EntrySkipped(
        uint256 indexed leaseId, uint256 indexed reportId, uint32 fromEpoch, uint32 toEpoch, SkipReason reason
    );
    /// @notice Reports from `fromEpoch` up to `toEpoch` no longer count; `round` is the one that new reports must carry.
    event Voided(uint256 indexed leaseId, address indexed challenger, uint32 fromEpoch, uint32 toEpoch, uint32 round);

    error UsageMeter_TooFewSignatures(uint256 signatures, uint256 quorum);
    error UsageMeter_SignersNotAscending(address previous, address signer);
    error UsageMeter_NotAttester(address signer);
    error UsageMeter_OwnerParty(address signer, uint256 siteId);
    error UsageMeter_UnknownSite(uint256 siteId);
    error UsageMeter_TooManyEntries(uint256 entries, uint256 max);
    error UsageMeter_NoSuchReport(uint256 leaseId, uint256 fromEpoch);
    error UsageMeter_ReportFinal(uint256 leaseId, uint256 fromEpoch, uint256 finalAt);
    error UsageMeter_VoidedTwice(uint256 leaseId, uint256 epoch);
    error UsageMeter_OutOfBounds(bytes32 what, uint256 value, uint256 min, uint256 max);

    /// @notice Posts a report signed by at least the quorum of attesters, signers ascending; by anyone.
    /// @dev A failing entry is skipped with a reason, not the batch.
    /// @dev Warning: attesters sign a lease's next report once the last is posted. Of two that wait, anybody can post the later
    /// first, and the hours before it are given up.
    function report(Report calldata r, bytes[] calldata signatures) external returns (uint256 reportId);

    /// @notice Voids the report of `leaseId` that starts at `fromEpoch` and the later ones (challenger).
    function void(uint256 leaseId, uint32 fromEpoch) external;

    /// @notice What is final of a lease now: time up to which it is settled by the meter (not clipped to the lease's end),
    /// and GPU-seconds available and due.
    function settled(uint256 leaseId) external view returns (uint40 until, uint256 available, uint256 due);

    /// @notice Totals of everything reported and not voided, final or not.
    function totals(uint256 leaseId)
        external
        view
        returns (uint32 reportedTo, uint32 round, uint256 available, uint256 due, uint256 busy, uint256 curtailed);

    /// @notice Latest epoch boundary below which nothing can be reported any more, at this block's time.
    function lapsedTo(uint256 leaseId) external view returns (uint32);

    /// @notice How many reports count (`count`), and the last eight of them, oldest first.
    function checkpointsOf(uint256 leaseId) external view returns (uint256 count, Checkpoint[] memory);

    function verifySample(uint256 reportId, Sample calldata sample, bytes32[] calldata proof)
        external
        view
        returns (bool);

    /// @notice EIP-712 digest that attesters sign.
    function digestOf(Report calldata r) external view returns (bytes32);

    function rootOf(uint256 reportId) external view returns (bytes32);
    function reportCount() external view returns (uint256);
    function registry() external view returns (IIdentityRegistry);
    function leaseBook() external view returns (ILeaseBook);
    function quorum() external view returns (uint256);
    function challengeWindow() external view returns (uint256);
    function grace() external view returns (uint256);
}
