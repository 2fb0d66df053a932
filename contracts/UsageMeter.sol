// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IIdentityRegistry} from "./interfaces/IIdentityRegistry.sol";
import {ILeaseBook} from "./interfaces/ILeaseBook.sol";
import {Checkpoint, Entry, IUsageMeter, Report, Sample, SkipReason} from "./interfaces/IUsageMeter.sol";
import {PackedCheckpoint} from "./libraries/Checkpoints.sol";

/// @title UsageMeter
/// @notice See IUsageMeter.
/// @dev A lease has one slot of its own (`Meter`) and a ring of eight checkpoints, a slot each, which hold totals: what is
/// final is read from one of them.
contract UsageMeter is IUsageMeter, AccessManaged, EIP712 {
    /// @param reportedTo Epoch boundary up to which reports count; 0 before the first.
    /// @param voidedTo The furthest that reports had come before a void; the last one was at `voidedAt`.
    /// @param count Reports that count; the next goes to ring slot `count % 8`. @param kept The last of them still in the ring.
    struct Meter {
        uint24 reportedTo;
        uint24 voidedTo;
        uint40 voidedAt;
        uint32 round;
        uint32 count;
        uint8 kept;
    }

    /// @dev Bit sets of 256 epochs.
    struct Voids {
        uint256 once;
        uint256 twice;
    }

    /// @dev What one entry is checked against, and what it comes to.
    struct Lease {
        uint32 siteId;
        uint24 gpus;
        uint40 start;
        uint40 end;
        uint256 curtailable;
    }

    uint256 private constant HOUR = 3_600;
    uint256 private constant RING = 8;
    uint256 private constant MAX_ENTRIES = 200;
    uint256 private constant MAX_WINDOW = 1 days;
    uint256 private constant MAX_GRACE = 2 days;
    /// @dev What a checkpoint has room for.
    uint256 private constant MAX_SPAN = type(uint8).max;

    bytes32 private constant ENTRY_TYPEHASH = keccak256(
        "Entry(uint256 leaseId,uint32 fromEpoch,uint32 toEpoch,uint32 round,uint64 available,uint64 busy,uint64 curtailed,uint64 wattHours)"
    );
    bytes32 private constant REPORT_TYPEHASH = keccak256(
        "Report(uint256 siteId,bytes32 samplesRoot,Entry[] entries)Entry(uint256 leaseId,uint32 fromEpoch,uint32 toEpoch,uint32 round,uint64 available,uint64 busy,uint64 curtailed,uint64 wattHours)"
    );

    IIdentityRegistry public immutable registry;
    ILeaseBook public immutable leaseBook;
    uint256 public immutable quorum;
    uint256 public immutable challengeWindow;
    uint256 public immutable grace;

    uint256 public reportCount;
    mapping(uint256 reportId => bytes32) public rootOf;
    mapping(uint256 leaseId => Meter) private _meters;
    mapping(uint256 leaseId => PackedCheckpoint[RING]) private _rings;
    mapping(uint256 leaseId => mapping(uint256 word => Voids)) private _voids;

    /// @param window Seconds in which a report can be voided, at most a day. @param grace_ Seconds in which an epoch can be
    /// reported, at most two days.
    constructor(
        address manager,
        IIdentityRegistry registry_,
        ILeaseBook leaseBook_,
        uint256 quorum_,
        uint256 window,
        uint256 grace_
    ) AccessManaged(manager) EIP712("Drakewell UsageMeter", "1") {
        _bound("registry", uint160(address(registry_)), 1, type(uint160).max);
        _bound("leaseBook", uint160(address(leaseBook_)), 1, type(uint160).max);
        _bound("quorum", quorum_, 1, type(uint8).max);
        _bound("challengeWindow", window, 1, MAX_WINDOW);
        _bound("grace", grace_, HOUR, MAX_GRACE);
        registry = registry_;
        leaseBook = leaseBook_;
        quorum = quorum_;
        challengeWindow = window;
        grace = grace_;
    }

    // ----------------------------------------------------------------- report

    /// @inheritdoc IUsageMeter
    function report(Report calldata r, bytes[] calldata signatures) external returns (uint256 reportId) {
        if (r.entries.length > MAX_ENTRIES) revert UsageMeter_TooManyEntries(r.entries.length, MAX_ENTRIES);
        _checkSignatures(r.siteId, digestOf(r), signatures);

        reportId = ++reportCount;
        rootOf[reportId] = r.samplesRoot;

        emit Reported(reportId, r.siteId, r.samplesRoot, msg.sender);

        for (uint256 i; i < r.entries.length; ++i) {
            _record(reportId, r.siteId, r.entries[i]);
        }
    }

    function _checkSignatures(uint256 siteId, bytes32 digest, bytes[] calldata signatures) private view {
        address owner = leaseBook.siteOf(siteId).owner;
        if (owner == address(0)) revert UsageMeter_UnknownSite(siteId);
        if (signatures.length < quorum) revert UsageMeter_TooFewSignatures(signatures.length, quorum);
        address previous;
        for (uint256 i; i < signatures.length; ++i) {
            address signer = ECDSA.recoverCalldata(digest, signatures[i]);
            if (signer <= previous) revert UsageMeter_SignersNotAscending(previous, signer);
            if (!registry.isAttester(signer)) revert UsageMeter_NotAttester(signer);
            if (registry.sameParty(signer, owner)) revert UsageMeter_OwnerParty(signer, siteId);
            previous = signer;
        }
    }

    function _record(uint256 reportId, uint256 siteId, Entry calldata e) private {
        Lease memory lease = _leaseOf(e.leaseId);
        Meter memory m = _meters[e.leaseId];
        PackedCheckpoint[RING] storage ring = _rings[e.leaseId];
        PackedCheckpoint last;
        if (m.kept != 0) last = ring[(m.count - 1) % RING];
        (SkipReason reason, uint256 gpuSeconds) = _check(e, siteId, lease, m, last.curtailed());
        if (reason == SkipReason.None && _ringFull(ring, m)) reason = SkipReason.RingFull;
        if (reason != SkipReason.None) {
            emit EntrySkipped(e.leaseId, reportId, e.fromEpoch, e.toEpoch, reason);
            return;
        }
        uint256 due = gpuSeconds - e.curtailed;

        // The checks bound the totals by GPUs x seconds of the lease, which the LeaseBook keeps below 2^48.
        ring[m.count % RING] = last.add({
            from: e.fromEpoch,
            to: e.toEpoch,
            time: block.timestamp,
            moreAvailable: e.available,
            moreDue: due,
            moreBusy: e.busy,
            moreCurtailed: e.curtailed
        });
        m.reportedTo = uint24(e.toEpoch);
        m.count += 1;
        if (m.kept < RING) m.kept += 1;
        _meters[e.leaseId] = m;

        emit UsageRecorded(
            e.leaseId,
            reportId,
            e.fromEpoch,
            e.toEpoch,
            e.round,
            e.available,
            e.busy,
            e.curtailed,
            e.wattHours,
            uint64(due)
        );
    }

    /// @dev Why an entry cannot count, or the contract's GPU-seconds in its span.
    function _check(Entry calldata e, uint256 siteId, Lease memory lease, Meter memory m, uint256 curtailedBefore)
        private
        view
        returns (SkipReason, uint256 gpuSeconds)
    {
        if (lease.siteId == 0) return (SkipReason.UnknownLease, 0);
        if (lease.siteId != siteId) return (SkipReason.WrongSite, 0);
        if (e.round != m.round) return (SkipReason.WrongRound, 0);
        if (e.toEpoch <= e.fromEpoch) return (SkipReason.EmptySpan, 0);
        if (e.toEpoch - e.fromEpoch > MAX_SPAN) return (SkipReason.SpanTooLong, 0);
        uint256 from = e.fromEpoch * HOUR;
        uint256 to = e.toEpoch * HOUR;
        if (to > block.timestamp) return (SkipReason.NotOver, 0);
        if (from + HOUR <= lease.start || to - HOUR >= lease.end) return (SkipReason.OutsideLease, 0);
        if (e.fromEpoch < m.reportedTo) return (SkipReason.Overlap, 0);
        if (e.fromEpoch < _lapsedTo(m) || _pastVoid(e, m)) return (SkipReason.Lapsed, 0);
        gpuSeconds = lease.gpus * (Math.min(to, lease.end) - Math.max(from, lease.start));
        if (uint256(e.available) + e.curtailed > gpuSeconds) return (SkipReason.AboveCapacity, 0);
        if (e.busy > e.available) return (SkipReason.BusyAboveAvailable, 0);
        if (curtailedBefore + e.curtailed > lease.curtailable) return (SkipReason.CurtailedAboveShare, 0);
        return (SkipReason.None, gpuSeconds);
    }

    /// @dev The next report would overwrite the oldest of eight; the last final one must be younger.
    function _ringFull(PackedCheckpoint[RING] storage ring, Meter memory m) private view returns (bool) {
        if (m.kept < RING) return false;
        return !_isFinal(ring[(m.count + 1) % RING]);
    }

    // -------------------------------------------------------------- challenge

    /// @inheritdoc IUsageMeter
    function void(uint256 leaseId, uint32 fromEpoch) external restricted {
        Meter memory m = _meters[leaseId];
        uint32 reportedTo = m.reportedTo;
        PackedCheckpoint[RING] storage ring = _rings[leaseId];
        bool found;
        while (!found && m.kept != 0) {
            unchecked {
                m.count -= 1;
                m.kept -= 1;
            }
            PackedCheckpoint c = ring[m.count % RING];
            uint256 from = c.fromEpoch();
            if (from < fromEpoch) break;
            if (_isFinal(c)) revert UsageMeter_ReportFinal(leaseId, from, c.postedAt() + challengeWindow);
            _markVoided(leaseId, from, c.toEpoch());
            found = from == fromEpoch;
        }
        if (!found) revert UsageMeter_NoSuchReport(leaseId, fromEpoch);

        // An earlier void may have opened more again than was reported since.
        m.voidedTo = uint24(Math.max(m.voidedTo, reportedTo));
        m.voidedAt = uint40(block.timestamp);
        m.reportedTo = uint24(fromEpoch);
        m.round += 1;
        _meters[leaseId] = m;

        emit Voided(leaseId, msg.sender, fromEpoch, reportedTo, m.round);
    }

    /// @dev Marks epochs `(from, to]`; none of them may have been voided twice.
    function _markVoided(uint256 leaseId, uint256 from, uint256 to) private {
        for (uint256 epoch = from + 1; epoch <= to; ++epoch) {
            Voids storage voids = _voids[leaseId][epoch >> 8];
            uint256 bit = 1 << (epoch & 0xff);
            if (voids.once & bit == 0) {
                voids.once |= bit;
            } else {
                if (voids.twice & bit != 0) revert UsageMeter_VoidedTwice(leaseId, epoch);
                voids.twice |= bit;
            }
        }
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IUsageMeter
    function settled(uint256 leaseId) external view returns (uint40 until, uint256 available, uint256 due) {
        Meter memory m = _meters[leaseId];
        PackedCheckpoint[RING] storage ring = _rings[leaseId];
        uint256 oldest = m.count - m.kept;
        uint256 finals = _finalCount(ring, oldest, m.kept);
        if (finals == m.kept) {
            until = uint40(Math.max(m.reportedTo, _lapsedTo(m)) * HOUR);
        } else {
            until = uint40(ring[(oldest + finals) % RING].fromEpoch() * HOUR);
        }
        if (finals != 0) {
            PackedCheckpoint last = ring[(oldest + finals - 1) % RING];
            (available, due) = (last.available(), last.due());
        }
    }

    /// @inheritdoc IUsageMeter
    function totals(uint256 leaseId)
        external
        view
        returns (uint32 reportedTo, uint32 round, uint256 available, uint256 due, uint256 busy, uint256 curtailed)
    {
        Meter memory m = _meters[leaseId];
        (reportedTo, round) = (_reportedTo(leaseId, m), m.round);
        if (m.kept != 0) {
            Checkpoint memory c = _rings[leaseId][(m.count - 1) % RING].unpack();
            (available, due, busy, curtailed) = (c.available, c.due, c.busy, c.curtailed);
        }
    }

    /// @inheritdoc IUsageMeter
    function lapsedTo(uint256 leaseId) external view returns (uint32) {
        Meter memory m = _meters[leaseId];
        return uint32(Math.max(_reportedTo(leaseId, m), _lapsedTo(m)));
    }

    /// @inheritdoc IUsageMeter
    function checkpointsOf(uint256 leaseId) external view returns (uint256 count, Checkpoint[] memory checkpoints) {
        Meter memory m = _meters[leaseId];
        count = m.count;
        checkpoints = new Checkpoint[](m.kept);
        for (uint256 i; i < m.kept; ++i) {
            checkpoints[i] = _rings[leaseId][(count - m.kept + i) % RING].unpack();
        }
    }

    /// @inheritdoc IUsageMeter
    function verifySample(uint256 reportId, Sample calldata sample, bytes32[] calldata proof)
        external
        view
        returns (bool)
    {
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(sample))));
        return MerkleProof.verifyCalldata(proof, rootOf[reportId], leaf);
    }

    /// @inheritdoc IUsageMeter
    function digestOf(Report calldata r) public view returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](r.entries.length);
        for (uint256 i; i < r.entries.length; ++i) {
            hashes[i] = _hashEntry(r.entries[i]);
        }
        bytes32 entries = keccak256(abi.encodePacked(hashes));
        return _hashTypedDataV4(keccak256(abi.encode(REPORT_TYPEHASH, r.siteId, r.samplesRoot, entries)));
    }

    // ---------------------------------------------------------------- compute

    /// @dev `keccak256(abi.encode(ENTRY_TYPEHASH, e))`. An entry's eight words lie in the calldata as they are encoded; whoever
    /// reads a field reverts when it is out of its range.
    function _hashEntry(Entry calldata e) private pure returns (bytes32 hash) {
        bytes32 typeHash = ENTRY_TYPEHASH;
        assembly ("memory-safe") {
            let start := mload(0x40)
            mstore(start, typeHash)
            calldatacopy(add(start, 0x20), e, 0x100)
            hash := keccak256(start, 0x120)
        }
    }

    function _leaseOf(uint256 leaseId) private view returns (Lease memory l) {
        (l.siteId, l.gpus, l.start, l.end, l.curtailable) = leaseBook.meterTerms(leaseId);
    }

    /// @dev Before the first report: the hour in which the lease starts.
    function _reportedTo(uint256 leaseId, Meter memory m) private view returns (uint32) {
        return m.reportedTo != 0 ? m.reportedTo : uint32(_leaseOf(leaseId).start / HOUR);
    }

    /// @dev Boundary below which nothing can be reported. What a void opened again stays open for a grace.
    function _lapsedTo(Meter memory m) private view returns (uint256) {
        if (m.reportedTo < m.voidedTo && block.timestamp < m.voidedAt + grace) return m.reportedTo;
        return Math.max(m.reportedTo, _graceEnd());
    }

    /// @dev Whether an entry takes in hours that had lapsed unreported: a void opens again only what it took back.
    function _pastVoid(Entry calldata e, Meter memory m) private view returns (bool) {
        uint256 boundary = _graceEnd();
        return e.fromEpoch < boundary && Math.min(e.toEpoch, boundary) > m.voidedTo;
    }

    /// @dev Boundary of the hours that ended a grace ago.
    function _graceEnd() private view returns (uint256) {
        return Math.saturatingSub(block.timestamp, grace) / HOUR;
    }

    function _isFinal(PackedCheckpoint c) private view returns (bool) {
        return block.timestamp >= c.postedAt() + challengeWindow;
    }

    /// @dev How many of the `kept` checkpoints from position `oldest` on are final: they are posted in order.
    function _finalCount(PackedCheckpoint[RING] storage ring, uint256 oldest, uint256 kept)
        private
        view
        returns (uint256 low)
    {
        uint256 high = kept;
        while (low < high) {
            uint256 mid = (low + high) / 2;
            if (_isFinal(ring[(oldest + mid) % RING])) low = mid + 1;
            else high = mid;
        }
    }

    function _bound(bytes32 what, uint256 value, uint256 min, uint256 max) private pure {
        if (value < min || value > max) revert UsageMeter_OutOfBounds(what, value, min, max);
    }
}
