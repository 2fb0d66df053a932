// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {CapacityShare} from "./CapacityShare.sol";
import {ICapacityShare, Permit, RevenueSource} from "./interfaces/ICapacityShare.sol";
import {IIdentityRegistry} from "./interfaces/IIdentityRegistry.sol";
import {ILeaseBook, Lease, LeaseState, Listing, OpenParams, Quote, Site, Terms} from "./interfaces/ILeaseBook.sol";
import {IUsageMeter} from "./interfaces/IUsageMeter.sol";
import {LeaseMath, Split} from "./libraries/LeaseMath.sol";
import {LeaseRecord, ListingState, SiteState, Store, TokenState} from "./libraries/LeaseStore.sol";
import {ListingLib} from "./libraries/ListingLib.sol";

/// @title LeaseBook
/// @notice See ILeaseBook.
/// @dev Every function in one order: identify, check, compute with the rounding named, write, emit, move tokens.
/// @dev Warning: a settlement token must be plain (no fee on transfer, no rebasing, no transfer hooks).
contract LeaseBook is ILeaseBook, ERC721, AccessManaged, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    uint16 private constant MAX_FEE_BPS = 1_000;

    uint16 private constant PROVIDER_CODE = 10_000;
    uint16 private constant CODE_TERM_ENDED = 20_000;
    uint16 private constant CODE_RAN_DRY = 20_001;

    /// @dev What a clone's `distribute` may need, four times over, so that nobody can starve it into failing; and what a
    /// settlement may need with it, so that a page cannot skip a lease for want of gas.
    uint256 private constant DISTRIBUTE_GAS = 250_000;
    uint256 private constant SETTLE_GAS = 500_000;

    IIdentityRegistry public immutable registry;
    IUsageMeter public immutable meter;
    address public immutable shareImplementation;

    /// @dev One slot.
    bool public entriesPaused;
    uint16 public feeBps;
    uint64 private _siteCount;
    uint64 private _listingCount;
    uint64 private _leaseCount;

    Store private _store;

    /// @param meter_ Address at which the UsageMeter will be deployed.
    constructor(address manager, IIdentityRegistry registry_, IUsageMeter meter_, uint16 feeBps_)
        ERC721("Drakewell Lease", "DWL")
        AccessManaged(manager)
    {
        if (address(registry_) == address(0) || address(meter_) == address(0)) revert LeaseBook_ZeroAddress();
        registry = registry_;
        meter = meter_;
        shareImplementation = address(new CapacityShare(registry_, address(this), manager));
        _setFee(feeBps_);
    }

    // ------------------------------------------------------------------ sites

    /// @inheritdoc ILeaseBook
    function registerSite(address token, uint32 gpus, bytes32 region, string calldata name)
        external
        returns (uint256 siteId)
    {
        _checkEntries();
        if (!_store.tokens[token].allowed) revert LeaseBook_TokenNotAllowed(token);
        if (gpus == 0) revert LeaseBook_OutOfBounds("gpus", gpus, 1, type(uint32).max);
        _checkValidOwner(msg.sender);

        siteId = ++_siteCount;
        SiteState storage site = _store.sites[siteId];
        site.owner = msg.sender;
        site.token = token;
        site.gpus = gpus;

        emit SiteRegistered(siteId, msg.sender, token, gpus, region, name);
    }

    /// @inheritdoc ILeaseBook
    function offerSite(uint256 siteId, address newOwner) external {
        SiteState storage site = _ownSite(siteId);
        _checkNotFrozen(msg.sender);

        site.pendingOwner = newOwner;

        emit SiteOffered(siteId, msg.sender, newOwner);
    }

    /// @inheritdoc ILeaseBook
    function acceptSite(uint256 siteId) external {
        SiteState storage site = _site(siteId);
        address previous = site.owner;
        if (msg.sender != site.pendingOwner) revert LeaseBook_NotPendingOwner(msg.sender, site.pendingOwner);
        _checkValidOwner(msg.sender);
        _checkNotFrozen(previous);

        site.owner = msg.sender;
        site.pendingOwner = address(0);

        emit SiteOwnerChanged(siteId, previous, msg.sender);
    }

    /// @inheritdoc ILeaseBook
    function issue(uint256 siteId, uint16 revenueBps, uint256 supply, string calldata name, string calldata symbol)
        external
        nonReentrant
        returns (address share)
    {
        _checkEntries();
        SiteState storage site = _ownSite(siteId);
        _checkValidOwner(msg.sender);
        if (site.share != address(0)) revert LeaseBook_SharesAlreadyIssued(siteId, site.share);
        if (revenueBps == 0 || revenueBps > LeaseMath.BPS) {
            revert LeaseBook_OutOfBounds("revenueBps", revenueBps, 1, LeaseMath.BPS);
        }

        address token = site.token;
        // At an address that a client computes by itself, so that no server can name another as a permit's spender.
        bytes memory arguments = abi.encode(token, supply, siteId);
        share = Clones.cloneDeterministicWithImmutableArgs(shareImplementation, arguments, bytes32(siteId));
        site.share = share;
        site.revenueBps = revenueBps;

        emit SharesIssued(siteId, share, msg.sender, revenueBps, supply, name, symbol);

        CapacityShare(share).initialise(msg.sender, name, symbol);
        IERC20(token).forceApprove(share, type(uint256).max);
    }

    /// @inheritdoc ILeaseBook
    function postBond(uint256 siteId, uint128 amount) external nonReentrant {
        _postBond(siteId, amount);
    }

    /// @inheritdoc ILeaseBook
    function postBondWithPermit(uint256 siteId, uint128 amount, Permit calldata permit) external nonReentrant {
        _permit(_site(siteId).token, permit);
        _postBond(siteId, amount);
    }

    function _postBond(uint256 siteId, uint256 amount) private {
        SiteState storage site = _site(siteId);
        uint256 max = type(uint96).max - site.bond;
        if (amount == 0 || amount > max) revert LeaseBook_OutOfBounds("bond", amount, 1, max);
        _checkNotFrozen(msg.sender);

        uint96 bond = site.bond + uint96(amount);
        site.bond = bond;
        _store.tokens[site.token].owed += uint128(amount);

        emit BondPosted(siteId, msg.sender, amount, bond);

        _pull(site.token, amount);
    }

    /// @inheritdoc ILeaseBook
    function withdrawBond(uint256 siteId, uint128 amount, address to) external nonReentrant {
        SiteState storage site = _ownSite(siteId);
        _checkRecipient(to);
        _checkNotFrozen(msg.sender);
        uint256 free = site.bond - site.lockedBond;
        if (amount == 0 || amount > free) revert LeaseBook_OutOfBounds("bond", amount, 1, free);

        uint96 bond = site.bond - uint96(amount);
        site.bond = bond;
        _store.tokens[site.token].owed -= amount;

        emit BondWithdrawn(siteId, to, amount, bond);

        IERC20(site.token).safeTransfer(to, amount);
    }

    // --------------------------------------------------------------- listings

    /// @inheritdoc ILeaseBook
    function list(uint256 siteId, Terms calldata terms) external returns (uint256 listingId) {
        _checkEntries();
        _ownSite(siteId);
        _checkValidOwner(msg.sender);

        listingId = ++_listingCount;
        _store.listings[listingId].siteId = uint32(siteId);
        ListingLib.set(_store, listingId, terms);
    }

    /// @inheritdoc ILeaseBook
    function amend(uint256 listingId, Terms calldata terms) external {
        _checkEntries();
        _ownListing(listingId);
        _checkValidOwner(msg.sender);

        ListingLib.set(_store, listingId, terms);
    }

    /// @inheritdoc ILeaseBook
    function withdrawListing(uint256 listingId) external {
        ListingState storage listing = _ownListing(listingId);

        listing.withdrawn = true;

        emit ListingWithdrawn(listingId, listing.siteId);
    }

    // ----------------------------------------------------------------- leases

    /// @inheritdoc ILeaseBook
    function open(OpenParams calldata params) external nonReentrant returns (uint256 leaseId) {
        return _open(params);
    }

    /// @inheritdoc ILeaseBook
    function openWithPermit(OpenParams calldata params, Permit calldata permit)
        external
        nonReentrant
        returns (uint256 leaseId)
    {
        _permit(_store.sites[_listing(params.listingId).siteId].token, permit);
        return _open(params);
    }

    function _open(OpenParams calldata p) private returns (uint256 leaseId) {
        _checkEntries();
        if (block.timestamp > p.deadline) revert LeaseBook_Expired(p.deadline, block.timestamp);
        ListingState storage listing = _listing(p.listingId);
        uint32 siteId = listing.siteId;
        SiteState storage site = _store.sites[siteId];
        address token = site.token;
        if (p.version != listing.version) revert LeaseBook_StaleVersion(p.version, listing.version);
        _checkOpening(site.owner, p.holder);

        Quote memory q = _quote(p.listingId, p.gpus, p.term);
        if (q.price > p.maxPrice) revert LeaseBook_PriceAboveMax(q.price, p.maxPrice);
        if (p.deposit < q.minDeposit || p.deposit > q.maxDeposit) {
            revert LeaseBook_DepositOutOfBounds(p.deposit, q.minDeposit, q.maxDeposit);
        }
        if (q.bond > q.bondFree) revert LeaseBook_NotEnoughBond(q.bond, q.bondFree);

        leaseId = ++_leaseCount;
        uint16 fee = feeBps;
        {
            LeaseRecord storage lease = _store.leases[leaseId];
            lease.siteId = siteId;
            lease.listingId = p.listingId;
            lease.version = p.version;
            lease.gpus = p.gpus;
            lease.start = q.start;
            lease.term = p.term;
            lease.price = q.price;
            lease.deposited = uint88(p.deposit);
            lease.feeBps = fee;
        }
        uint24 leased = _occupy(listing, p.gpus, q.start, q.termEnd);
        uint96 lockedBond = site.lockedBond + uint96(q.bond);
        site.lockedBond = lockedBond;
        TokenState storage state = _store.tokens[token];
        if (!state.allowed) revert LeaseBook_TokenNotAllowed(token);
        state.owed += p.deposit;
        _mint(p.holder, leaseId);

        emit LeaseOpened(
            leaseId,
            p.listingId,
            p.holder,
            msg.sender,
            siteId,
            p.version,
            p.gpus,
            q.start,
            q.termEnd,
            q.price,
            fee,
            p.deposit,
            lockedBond,
            leased
        );

        _pull(token, p.deposit);
    }

    /// @inheritdoc ILeaseBook
    function fund(uint256 leaseId, uint96 amount) external nonReentrant {
        _fund(leaseId, amount);
    }

    /// @inheritdoc ILeaseBook
    function fundWithPermit(uint256 leaseId, uint96 amount, Permit calldata permit) external nonReentrant {
        _permit(_store.sites[_lease(leaseId).siteId].token, permit);
        _fund(leaseId, amount);
    }

    function _fund(uint256 leaseId, uint96 amount) private {
        LeaseRecord storage lease = _lease(leaseId);
        uint256 end = _checkRunning(leaseId, lease);
        if (lease.closingAt != 0) revert LeaseBook_AlreadyClosing(leaseId, end);
        _checkNotFrozen(msg.sender);
        uint256 max = LeaseMath.costUp(lease.price, uint256(lease.gpus) * lease.term) - lease.deposited;
        if (amount == 0 || amount > max) revert LeaseBook_DepositOutOfBounds(amount, 1, max);

        uint88 deposited = lease.deposited + uint88(amount);
        lease.deposited = deposited;
        address token = _store.sites[lease.siteId].token;
        _store.tokens[token].owed += amount;

        emit LeaseFunded(leaseId, msg.sender, amount, deposited, uint40(LeaseMath.endOf(lease)));

        _pull(token, amount);
    }

    /// @inheritdoc ILeaseBook
    function close(uint256 leaseId, uint16 code) external {
        LeaseRecord storage lease = _lease(leaseId);
        _checkHolder(leaseId);
        if (code == 0 || code >= PROVIDER_CODE) revert LeaseBook_CodeOutOfRange(code, 1, PROVIDER_CODE - 1);
        uint256 end = _checkRunning(leaseId, lease);
        bool reclaiming = lease.code >= PROVIDER_CODE;
        if (lease.closingAt != 0 && !reclaiming) revert LeaseBook_AlreadyClosing(leaseId, end);

        uint256 closingAt = Math.max(block.timestamp, lease.start);
        if (!reclaiming) {
            Terms storage terms = _store.terms[lease.listingId][lease.version];
            closingAt = Math.max(block.timestamp + terms.notice, uint256(lease.start) + terms.minTerm);
        }
        if (closingAt >= end) revert LeaseBook_NotEarlier(closingAt, end);

        lease.closingAt = uint40(closingAt);
        lease.code = code;

        emit LeaseClosing(leaseId, msg.sender, code, uint40(closingAt));
    }

    /// @inheritdoc ILeaseBook
    /// @dev A lease that has not started ends at its start: it never runs and all of its rent is taken back.
    function reclaim(uint256 leaseId, uint16 code) external {
        LeaseRecord storage lease = _lease(leaseId);
        SiteState storage site = _ownSite(lease.siteId);
        _checkNotFrozen(msg.sender);
        if (code < PROVIDER_CODE || code >= CODE_TERM_ENDED) {
            revert LeaseBook_CodeOutOfRange(code, PROVIDER_CODE, CODE_TERM_ENDED - 1);
        }
        uint256 end = _checkRunning(leaseId, lease);
        if (lease.code >= PROVIDER_CODE) revert LeaseBook_AlreadyClosing(leaseId, end);

        Terms storage terms = _store.terms[lease.listingId][lease.version];
        uint256 closingAt = Math.max(block.timestamp + terms.reclaimWindow, lease.start);
        if (closingAt >= end) revert LeaseBook_NotEarlier(closingAt, end);
        uint256 compensation = Math.min(
            uint256(lease.gpus) * terms.bondPerGpu,
            LeaseMath.compensationDown(lease.price, uint256(lease.gpus) * (end - closingAt), terms.compensationBps)
        );

        lease.closingAt = uint40(closingAt);
        lease.code = code;
        lease.compensation = uint80(compensation);
        site.bond -= uint96(compensation);
        site.lockedBond -= uint96(compensation);

        emit LeaseReclaimed(
            leaseId, msg.sender, code, uint40(closingAt), compensation, site.bond, site.lockedBond
        );
    }

    /// @inheritdoc ILeaseBook
    function release(uint256 leaseId) external {
        LeaseRecord storage lease = _lease(leaseId);
        if (lease.released) revert LeaseBook_AlreadyReleased(leaseId);
        (uint256 end, bool over) = _endOf(lease);
        if (!over) revert LeaseBook_NotEnded(leaseId, end);

        lease.released = true;
        ListingState storage listing = _store.listings[lease.listingId];
        uint24 leased = listing.leased - lease.gpus;
        listing.leased = leased;
        if (leased == 0) (listing.busyFrom, listing.busyUntil) = (0, 0);

        emit LeaseReleased(leaseId, lease.listingId, leased);
    }

    /// @inheritdoc ILeaseBook
    function collect(uint256 leaseId, address to) external nonReentrant returns (uint256 amount) {
        LeaseRecord storage lease = _lease(leaseId);
        _checkNotFrozen(_checkHolder(leaseId));
        _checkRecipient(to);
        amount = LeaseMath.collectableDown(lease);
        if (amount == 0) revert LeaseBook_NothingToCollect(leaseId);

        uint96 collected = lease.collected + uint96(amount);
        lease.collected = collected;
        address token = _store.sites[lease.siteId].token;
        _store.tokens[token].owed -= uint128(amount);
        if (lease.finalised) _burn(leaseId);

        emit LeaseCollected(leaseId, to, amount, collected);

        IERC20(token).safeTransfer(to, amount);
    }

    // ------------------------------------------------------------- settlement

    /// @inheritdoc ILeaseBook
    function settle(uint256 leaseId) external nonReentrant {
        LeaseRecord storage lease = _lease(leaseId);
        uint32 siteId = lease.siteId;
        SiteState storage site = _store.sites[siteId];
        (uint256 until, uint256 available, uint256 due) = meter.settled(leaseId);
        (uint256 end, bool over) = _endOf(lease);
        uint256 start = lease.start;
        uint256 settledUntil = start + lease.settled;
        bool last = over && (until >= end || end == start);
        until = Math.min(until, end);
        if (lease.finalised || (until <= settledUntil && !last)) {
            revert LeaseBook_NothingToSettle(leaseId, settledUntil);
        }
        settledUntil = Math.max(until, settledUntil);
        address share = site.share;
        Split memory s = LeaseMath.split(lease, available, share != address(0), site.revenueBps);

        lease.settled = uint32(settledUntil - start);
        lease.available = uint48(available);
        if (share == address(0)) {
            lease.hasUnshared = true;
            lease.unsharedNet = uint96(s.unsharedNet);
        }
        address token = site.token;
        TokenState storage state = _store.tokens[token];
        state.fees += uint120(s.fee);
        state.owed -= uint128(s.shares);
        address owner = site.owner;
        _store.credits[token][owner] += s.ownerPart;

        emit LeaseSettled(
            leaseId,
            siteId,
            owner,
            uint40(settledUntil),
            available,
            due,
            s.fee,
            s.shares,
            s.ownerPart,
            s.rentTotal,
            s.unsharedNet
        );

        if (last) _finalise(leaseId, lease, site, available, due);
        if (s.shares != 0) _distribute(leaseId, siteId, site, share, state, s.shares);
    }

    /// @dev Judges the SLA over the whole lease, pays the penalty from bond to holder and unlocks the rest.
    function _finalise(uint256 leaseId, LeaseRecord storage lease, SiteState storage site, uint256 available, uint256 due)
        private
    {
        (uint256 penalty, uint256 lock) = _penaltyDown(lease, available, due);
        uint16 code = lease.code;
        if (code == 0) code = LeaseMath.endOf(lease) == lease.start + lease.term ? CODE_TERM_ENDED : CODE_RAN_DRY;

        lease.finalised = true;
        lease.code = code;
        lease.penalty = uint80(penalty);
        uint96 bond = site.bond - uint96(penalty);
        uint96 lockedBond = site.lockedBond - uint96(lock);
        site.bond = bond;
        site.lockedBond = lockedBond;
        if (LeaseMath.collectableDown(lease) == 0) _burn(leaseId);

        emit LeaseFinalised(leaseId, lease.siteId, code, penalty, bond, lockedBond);
    }

    /// @dev Pays the share holders' part into their clone. A clone that refuses (blocklisted, or its index is full) stops
    /// nobody: the part waits for `pushShares`.
    function _distribute(
        uint256 leaseId,
        uint256 siteId,
        SiteState storage site,
        address share,
        TokenState storage state,
        uint256 amount
    ) private {
        if (gasleft() < DISTRIBUTE_GAS) revert LeaseBook_GasTooLow(gasleft(), DISTRIBUTE_GAS);
        try ICapacityShare(share).distribute(amount, RevenueSource.Lease, leaseId) {}
        catch {
            state.owed += uint128(amount);
            uint96 pending = site.pendingShares + uint96(amount);
            site.pendingShares = pending;
            emit SharesDeferred(siteId, leaseId, amount, pending);
        }
    }

    /// @inheritdoc ILeaseBook
    /// @dev Not guarded itself: each settlement is.
    function settleMany(uint256[] calldata leaseIds) external {
        for (uint256 i; i < leaseIds.length; ++i) {
            if (gasleft() < SETTLE_GAS) revert LeaseBook_GasTooLow(gasleft(), SETTLE_GAS);
            try this.settle(leaseIds[i]) {}
            catch (bytes memory reason) {
                emit SettleSkipped(leaseIds[i], reason);
            }
        }
    }

    /// @inheritdoc ILeaseBook
    function pushShares(uint256 siteId) external nonReentrant {
        SiteState storage site = _site(siteId);
        uint96 amount = site.pendingShares;
        if (amount == 0) revert LeaseBook_NothingPending(siteId);

        site.pendingShares = 0;
        _store.tokens[site.token].owed -= amount;

        emit SharesPushed(siteId, amount);

        ICapacityShare(site.share).distribute(amount, RevenueSource.Lease, 0);
    }

    /// @inheritdoc ILeaseBook
    function withdrawCredit(address token, address to) external nonReentrant returns (uint256 amount) {
        _checkRecipient(to);
        _checkNotFrozen(msg.sender);
        amount = _store.credits[token][msg.sender];
        if (amount == 0) revert LeaseBook_NothingToWithdraw(token, msg.sender);

        _store.credits[token][msg.sender] = 0;
        _store.tokens[token].owed -= uint128(amount);

        emit CreditWithdrawn(token, msg.sender, to, amount);

        IERC20(token).safeTransfer(to, amount);
    }

    // ----------------------------------------------------------------- policy

    /// @inheritdoc ILeaseBook
    function setFee(uint16 feeBps_) external restricted {
        _setFee(feeBps_);
    }

    function _setFee(uint16 feeBps_) private {
        if (feeBps_ > MAX_FEE_BPS) revert LeaseBook_OutOfBounds("feeBps", feeBps_, 0, MAX_FEE_BPS);

        feeBps = feeBps_;

        emit FeeSet(feeBps_);
    }

    /// @inheritdoc ILeaseBook
    function setTokenAllowed(address token, bool allowed) external restricted {
        if (token == address(0)) revert LeaseBook_ZeroAddress();

        _store.tokens[token].allowed = allowed;

        emit TokenAllowed(token, allowed);
    }

    /// @inheritdoc ILeaseBook
    function setEntriesPaused(bool paused) external restricted {
        entriesPaused = paused;

        emit EntriesPaused(paused);
    }

    /// @inheritdoc ILeaseBook
    function withdrawFees(address token, address to) external restricted nonReentrant returns (uint256 amount) {
        _checkRecipient(to);
        TokenState storage state = _store.tokens[token];
        amount = state.fees;
        if (amount == 0) revert LeaseBook_NothingToWithdraw(token, msg.sender);

        state.fees = 0;
        state.owed -= uint128(amount);

        emit FeesWithdrawn(token, to, amount);

        IERC20(token).safeTransfer(to, amount);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc ILeaseBook
    function quote(uint256 listingId, uint24 gpus, uint32 term) external view returns (Quote memory) {
        _listing(listingId);
        Quote memory q = _quote(listingId, gpus, term);
        Terms storage t = _store.terms[listingId][q.version];
        uint256 penalty = LeaseMath.penaltyDown(q.price, uint256(gpus) * term, 0, t.slaBps, t.penaltyBps);
        q.maxPenalty = Math.min(q.bond, penalty);
        return q;
    }

    /// @inheritdoc ILeaseBook
    function siteOf(uint256 siteId) external view returns (Site memory) {
        SiteState storage s = _store.sites[siteId];
        return Site({
            owner: s.owner,
            gpus: s.gpus,
            revenueBps: s.revenueBps,
            pendingOwner: s.pendingOwner,
            token: s.token,
            share: s.share,
            bond: s.bond,
            lockedBond: s.lockedBond
        });
    }

    /// @inheritdoc ILeaseBook
    function listingOf(uint256 listingId) external view returns (Listing memory) {
        ListingState storage l = _store.listings[listingId];
        return Listing({
            siteId: l.siteId,
            version: l.version,
            leased: l.leased,
            busyFrom: l.busyFrom,
            busyUntil: l.busyUntil,
            withdrawn: l.withdrawn
        });
    }

    /// @inheritdoc ILeaseBook
    function termsOf(uint256 listingId, uint16 version) external view returns (Terms memory) {
        return _store.terms[listingId][version];
    }

    /// @inheritdoc ILeaseBook
    function leaseOf(uint256 leaseId) external view returns (Lease memory) {
        LeaseRecord storage l = _store.leases[leaseId];
        return Lease({
            siteId: l.siteId,
            listingId: l.listingId,
            version: l.version,
            gpus: l.gpus,
            start: l.start,
            termEnd: l.start + l.term,
            closingAt: l.closingAt,
            code: l.code,
            released: l.released,
            finalised: l.finalised,
            price: l.price,
            deposited: l.deposited,
            feeBps: l.feeBps,
            rentTotal: uint96(LeaseMath.costDown(l.price, l.available)),
            unsharedNet: l.unsharedNet,
            settledUntil: l.start + l.settled,
            collected: l.collected,
            compensation: l.compensation,
            penalty: l.penalty
        });
    }

    /// @inheritdoc ILeaseBook
    function endOf(uint256 leaseId) external view returns (uint40) {
        return uint40(LeaseMath.endOf(_lease(leaseId)));
    }

    /// @inheritdoc ILeaseBook
    function stateOf(uint256 leaseId) external view returns (LeaseState) {
        LeaseRecord storage l = _store.leases[leaseId];
        if (l.start == 0) return LeaseState.None;
        if (l.finalised) return LeaseState.Final;
        (, bool over) = _endOf(l);
        if (over) return LeaseState.Ended;
        if (l.code >= PROVIDER_CODE) return LeaseState.Reclaiming;
        if (l.closingAt != 0) return LeaseState.Closing;
        return block.timestamp < l.start ? LeaseState.Forward : LeaseState.Active;
    }

    /// @inheritdoc ILeaseBook
    function meterTerms(uint256 leaseId)
        external
        view
        returns (uint32 siteId, uint24 gpus, uint40 start, uint40 end, uint256 curtailable)
    {
        LeaseRecord storage l = _store.leases[leaseId];
        (siteId, gpus, start) = (l.siteId, l.gpus, l.start);
        if (start == 0) return (0, 0, 0, 0, 0);
        uint256 share = _store.terms[l.listingId][l.version].curtailableBps;
        curtailable = LeaseMath.partDown(uint256(gpus) * l.term, share);
        end = uint40(LeaseMath.endOf(l));
    }

    /// @inheritdoc ILeaseBook
    function collectable(uint256 leaseId) external view returns (uint256) {
        return LeaseMath.collectableDown(_lease(leaseId));
    }

    /// @inheritdoc ILeaseBook
    function penaltyOf(uint256 leaseId) external view returns (uint256 penalty) {
        LeaseRecord storage l = _lease(leaseId);
        if (l.finalised) return l.penalty;
        (, uint256 available, uint256 due) = meter.settled(leaseId);
        (penalty,) = _penaltyDown(l, available, due);
    }

    /// @inheritdoc ILeaseBook
    function creditOf(address token, address account) external view returns (uint256) {
        return _store.credits[token][account];
    }

    /// @inheritdoc ILeaseBook
    function feesOf(address token) external view returns (uint256) {
        return _store.tokens[token].fees;
    }

    /// @inheritdoc ILeaseBook
    function pendingSharesOf(uint256 siteId) external view returns (uint256) {
        return _store.sites[siteId].pendingShares;
    }

    /// @inheritdoc ILeaseBook
    function totalOwed(address token) external view returns (uint256) {
        return _store.tokens[token].owed;
    }

    /// @inheritdoc ILeaseBook
    function siteCount() external view returns (uint256) {
        return _siteCount;
    }

    /// @inheritdoc ILeaseBook
    function listingCount() external view returns (uint256) {
        return _listingCount;
    }

    /// @inheritdoc ILeaseBook
    function leaseCount() external view returns (uint256) {
        return _leaseCount;
    }

    /// @inheritdoc ILeaseBook
    function liveListingsOf(uint256 siteId) external view returns (uint32[] memory) {
        return _store.liveListings[siteId];
    }

    /// @inheritdoc ILeaseBook
    function isTokenAllowed(address token) external view returns (bool) {
        return _store.tokens[token].allowed;
    }

    // --------------------------------------------------------------- identify

    function _site(uint256 siteId) private view returns (SiteState storage site) {
        site = _store.sites[siteId];
        if (site.owner == address(0)) revert LeaseBook_UnknownSite(siteId);
    }

    function _ownSite(uint256 siteId) private view returns (SiteState storage site) {
        site = _site(siteId);
        if (msg.sender != site.owner) revert LeaseBook_NotSiteOwner(msg.sender);
    }

    /// @dev A listing still on the market.
    function _listing(uint256 listingId) private view returns (ListingState storage listing) {
        listing = _store.listings[listingId];
        if (listing.siteId == 0) revert LeaseBook_UnknownListing(listingId);
        if (listing.withdrawn) revert LeaseBook_ListingWithdrawn(listingId);
    }

    function _ownListing(uint256 listingId) private view returns (ListingState storage listing) {
        listing = _listing(listingId);
        _ownSite(listing.siteId);
    }

    function _lease(uint256 leaseId) private view returns (LeaseRecord storage lease) {
        lease = _store.leases[leaseId];
        if (lease.start == 0) revert LeaseBook_UnknownLease(leaseId);
    }

    // ------------------------------------------------------------------ check

    function _checkEntries() private view {
        if (entriesPaused) revert LeaseBook_EntriesPaused();
    }

    function _checkValidOwner(address account) private view {
        if (!registry.isSiteOwner(account)) revert LeaseBook_NotSiteOwner(account);
    }

    function _checkNotFrozen(address account) private view {
        if (registry.isFrozen(account)) revert LeaseBook_AccountFrozen(account);
    }

    function _checkRecipient(address to) private view {
        if (to == address(0)) revert LeaseBook_ZeroAddress();
        if (to == address(this)) revert LeaseBook_SelfTransfer();
    }

    /// @dev A valid owner lets to strangers only: neither payer nor holder is of the owner's party.
    function _checkOpening(address owner, address holder) private view {
        _checkValidOwner(owner);
        _checkNotFrozen(msg.sender);
        if (registry.sameParty(msg.sender, owner)) revert LeaseBook_OwnerParty(msg.sender);
        if (holder == msg.sender) return;
        _checkNotFrozen(holder);
        if (registry.sameParty(holder, owner)) revert LeaseBook_OwnerParty(holder);
    }

    /// @dev The token's owner or whom he approved; returns the owner.
    function _checkHolder(uint256 leaseId) private view returns (address holder) {
        holder = _requireOwned(leaseId);
        if (!_isAuthorized(holder, msg.sender, leaseId)) revert LeaseBook_NotHolder(msg.sender, leaseId);
    }

    function _checkRunning(uint256 leaseId, LeaseRecord storage l) private view returns (uint256) {
        (uint256 end, bool over) = _endOf(l);
        if (over) revert LeaseBook_Ended(leaseId, end);
        return end;
    }

    // ---------------------------------------------------------------- compute

    /// @dev `over` from the end on; at once for a lease that ends where it starts.
    function _endOf(LeaseRecord storage l) private view returns (uint256 end, bool over) {
        end = LeaseMath.endOf(l);
        over = block.timestamp >= end || end == l.start;
    }

    /// @dev What `gpus` of a listing cost now over `term`; the one source for `quote` and `open`. Leaves `maxPenalty` out.
    function _quote(uint256 listingId, uint24 gpus, uint32 term) private view returns (Quote memory q) {
        ListingState storage listing = _store.listings[listingId];
        SiteState storage site = _store.sites[listing.siteId];
        q.version = listing.version;
        Terms storage t = _store.terms[listingId][q.version];
        uint256 leased = listing.leased;
        uint256 listed = t.gpus;
        if (gpus == 0 || gpus > listed - leased) revert LeaseBook_NotEnoughGpus(gpus, listed - leased);
        if (term < t.minTerm || term > t.maxTerm) revert LeaseBook_OutOfBounds("term", term, t.minTerm, t.maxTerm);
        uint256 start = Math.max(block.timestamp, t.from);
        if (start + term > t.until) revert LeaseBook_OutOfBounds("termEnd", start + term, 0, t.until);

        q.start = uint40(start);
        q.termEnd = uint40(start + term);
        q.price = uint72(LeaseMath.priceUp(t.floorPrice, t.ceilingPrice, listed, leased, gpus));
        q.minDeposit = LeaseMath.costUp(q.price, uint256(gpus) * t.minTerm);
        q.maxDeposit = LeaseMath.costUp(q.price, uint256(gpus) * term);
        q.bond = uint256(gpus) * listing.bondPerGpu;
        q.bondFree = site.bond - site.lockedBond;
    }

    /// @dev Penalty, and the lease's locked bond that bounds it: what compensation left of it.
    function _penaltyDown(LeaseRecord storage l, uint256 available, uint256 due)
        private
        view
        returns (uint256 penalty, uint256 lock)
    {
        Terms storage t = _store.terms[l.listingId][l.version];
        lock = uint256(l.gpus) * t.bondPerGpu - l.compensation;
        penalty = Math.min(lock, LeaseMath.penaltyDown(l.price, due, available, t.slaBps, t.penaltyBps));
    }

    // ------------------------------------------------------------------ write

    /// @dev Takes `gpus` of a listing and widens the window in which it is in use.
    function _occupy(ListingState storage listing, uint24 gpus, uint40 start, uint40 termEnd)
        private
        returns (uint24 leased)
    {
        bool first = listing.leased == 0;
        leased = listing.leased + gpus;
        listing.leased = leased;
        if (first || start < listing.busyFrom) listing.busyFrom = start;
        if (first || termEnd > listing.busyUntil) listing.busyUntil = termEnd;
    }

    /// @dev Every move of a lease token: nothing leaves a frozen account, nothing reaches one.
    function _update(address to, uint256 tokenId, address auth) internal override returns (address from) {
        from = super._update(to, tokenId, auth);
        // Opening and collecting look up the holder themselves.
        if (from == address(0) || to == address(0)) return from;
        _checkNotFrozen(from);
        _checkNotFrozen(to);
    }

    // ------------------------------------------------------------ move tokens

    /// @dev A failing permit is ignored: the allowance may be there, or a stranger sent the permit first.
    function _permit(address token, Permit calldata p) private {
        if (p.deadline == 0) return;
        try IERC20Permit(token).permit(msg.sender, address(this), p.value, p.deadline, p.v, p.r, p.s) {} catch {}
    }

    /// @dev From the caller, and only from him; what comes in must be what was asked.
    function _pull(address token, uint256 amount) private {
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received != amount) revert LeaseBook_TransferFee(received, amount);
    }
}
