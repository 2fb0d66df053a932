// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Permit} from "./ICapacityShare.sol";
import {IIdentityRegistry} from "./IIdentityRegistry.sol";
import {IUsageMeter} from "./IUsageMeter.sol";

/// @notice A data centre's GPUs and what its owner has staked on them.
/// @param bond Base units staked, of which `lockedBond` stands behind open leases.
struct Site {
    address owner;
    uint32 gpus;
    uint16 revenueBps;
    address pendingOwner;
    address token;
    address share;
    uint128 bond;
    uint128 lockedBond;
}

/// @notice What a listing offers. A lease keeps the version it opened on.
/// @param from Start of the delivery window, unix seconds; a lease starts at the later of now and this.
/// @param until End of the delivery window: no lease runs past it.
/// @param floorPrice Base units per GPU-hour for an empty listing.
/// @param ceilingPrice Base units per GPU-hour for a full one.
/// @param gpus GPUs on offer.
/// @param minTerm Seconds, at least an hour. @param maxTerm Seconds. @param notice Seconds of a tenant's notice.
/// @param slaBps Share of due GPU-seconds that must be available.
/// @param penaltyBps Penalty on a missing GPU-second as a multiple of its price, 10,000 = once.
/// @param curtailableBps Share of a lease's term that may be curtailed (grid demand response) without breach.
/// @param wattsPerGpu At full load. @param pueBps Power usage effectiveness x 10,000.
/// @param reclaimWindow Seconds from an owner's reclaim to the end of the lease.
/// @param compensationBps Of the funded rent that a reclaim takes back, paid from the lease's bond.
/// @param bondPerGpu Base units of the site's bond locked for each GPU leased.
/// @param model GPU model, left-aligned ASCII.
struct Terms {
    uint40 from;
    uint40 until;
    uint72 floorPrice;
    uint72 ceilingPrice;
    uint24 gpus;
    uint32 minTerm;
    uint32 maxTerm;
    uint32 notice;
    uint16 slaBps;
    uint32 penaltyBps;
    uint16 curtailableBps;
    uint16 wattsPerGpu;
    uint16 pueBps;
    uint32 reclaimWindow;
    uint16 compensationBps;
    uint96 bondPerGpu;
    bytes32 model;
}

/// @param busyFrom Earliest start and @param busyUntil latest end of leases not yet released; 0 with none.
struct Listing {
    uint32 siteId;
    uint16 version;
    uint24 leased;
    uint40 busyFrom;
    uint40 busyUntil;
    bool withdrawn;
}

/// @param termEnd Start + the term agreed. @param closingAt When a closing takes effect; 0 without one.
/// @param code Closing code; 0 without one. @param price Base units per GPU-hour, locked at opening.
/// @param deposited Base units ever paid in. @param rentTotal Rent of settled time.
/// @param unsharedNet Part of rent less fee settled before shares were issued.
/// @param settledUntil Unix second up to which the lease is settled. @param collected Base units paid to holders.
/// @param compensation Paid from the bond at a reclaim. @param penalty Paid from the bond at the last settlement.
struct Lease {
    uint32 siteId;
    uint32 listingId;
    uint16 version;
    uint24 gpus;
    uint40 start;
    uint40 termEnd;
    uint40 closingAt;
    uint16 code;
    bool released;
    bool finalised;
    uint72 price;
    uint96 deposited;
    uint16 feeBps;
    uint96 rentTotal;
    uint96 unsharedNet;
    uint40 settledUntil;
    uint96 collected;
    uint80 compensation;
    uint80 penalty;
}

enum LeaseState {
    None,
    Forward,
    Active,
    Closing,
    Reclaiming,
    Ended,
    Final
}

/// @param version Listing version quoted from. @param price At most `maxPrice` base units per GPU-hour.
/// @param term Seconds. @param deposit Base units. @param holder Receives the lease token.
/// @param deadline Unix second after which the opening is refused.
struct OpenParams {
    uint32 listingId;
    uint16 version;
    uint24 gpus;
    uint32 term;
    uint96 deposit;
    uint72 maxPrice;
    address holder;
    uint40 deadline;
}

/// @param minDeposit Least deposit (the minimum term). @param maxDeposit Price of the whole term, rounded up.
/// @param maxPenalty Most that the SLA can take from the bond over the whole term.
/// @param bond Base units of the site's bond that would be locked. @param bondFree What the site has unlocked now.
struct Quote {
    uint16 version;
    uint72 price;
    uint40 start;
    uint40 termEnd;
    uint256 minDeposit;
    uint256 maxDeposit;
    uint256 maxPenalty;
    uint256 bond;
    uint256 bondFree;
}

/// @title ILeaseBook
/// @notice Sites, listings, leases (ERC-721), escrow and bonds. Holds the tenants' deposits, the owners' bonds, and
/// credits to be drawn.
/// @dev Totals since opening: `rentTotal = floor(price * available / 3600)`, `feeTotal = floor(rentTotal * feeBps / 1e4)`,
/// `sharesTotal = floor((rentTotal - feeTotal - unsharedNet) * revenueBps / 1e4)`, the site owner has the rest. A
/// settlement moves the increases, so every sequence of settlements pays the same.
/// At the last one, `penalty = floor(price * max(0, slaBps * due - 1e4 * available) * penaltyBps / (3600 * 1e8))`, at most
/// the lease's bond less compensation paid.
interface ILeaseBook {
    event SiteRegistered(
        uint256 indexed siteId, address indexed owner, address indexed token, uint32 gpus, bytes32 region, string name
    );
    event SiteOffered(uint256 indexed siteId, address indexed owner, address indexed pendingOwner);
    event SiteOwnerChanged(uint256 indexed siteId, address indexed previousOwner, address indexed owner);
    /// @notice A new listing (version 1) or a change (a new version).
    event ListingSet(uint256 indexed listingId, uint256 indexed siteId, uint16 version, Terms terms);
    event ListingWithdrawn(uint256 indexed listingId, uint256 indexed siteId);
    event SharesIssued(
        uint256 indexed siteId,
        address indexed share,
        address indexed owner,
        uint16 revenueBps,
        uint256 supply,
        string name,
        string symbol
    );
    event BondPosted(uint256 indexed siteId, address indexed payer, uint256 amount, uint256 bond);
    event BondWithdrawn(uint256 indexed siteId, address indexed to, uint256 amount, uint256 bond);
    /// @param lockedBond The site's locked bond after it. @param leased The listing's leased GPUs after it.
    event LeaseOpened(
        uint256 indexed leaseId,
        uint256 indexed listingId,
        address indexed holder,
        address payer,
        uint32 siteId,
        uint16 version,
        uint24 gpus,
        uint40 start,
        uint40 termEnd,
        uint72 price,
        uint16 feeBps,
        uint96 deposit,
        uint128 lockedBond,
        uint24 leased
    );
    event LeaseFunded(uint256 indexed leaseId, address indexed payer, uint256 amount, uint256 deposited, uint40 end);
    /// @notice Tenant's closing (code 1-9999), effective at `end`.
    event LeaseClosing(uint256 indexed leaseId, address indexed by, uint16 code, uint40 end);
    /// @notice Owner's reclaim (code 10000-19999), effective at `end`; `compensation` went from bond to holder.
    event LeaseReclaimed(
        uint256 indexed leaseId,
        address indexed by,
        uint16 code,
        uint40 end,
        uint256 compensation,
        uint256 bond,
        uint256 lockedBond
    );
    /// @notice Increases of one settlement, and totals after it.
    event LeaseSettled(
        uint256 indexed leaseId,
        uint256 indexed siteId,
        address indexed owner,
        uint40 settledUntil,
        uint256 available,
        uint256 due,
        uint256 fee,
        uint256 shares,
        uint256 ownerPart,
        uint256 rentTotal,
        uint256 unsharedNet
    );
    /// @notice The clone refused its part: it waits, owed, for `pushShares`.
    event SharesDeferred(uint256 indexed siteId, uint256 indexed leaseId, uint256 amount, uint256 pending);
    event SharesPushed(uint256 indexed siteId, uint256 amount);
    /// @notice The last settlement: `penalty` went from bond to holder, the rest of the lease's bond was unlocked.
    event LeaseFinalised(
        uint256 indexed leaseId, uint256 indexed siteId, uint16 code, uint256 penalty, uint256 bond, uint256 lockedBond
    );
    event LeaseReleased(uint256 indexed leaseId, uint256 indexed listingId, uint24 leased);
    event LeaseCollected(uint256 indexed leaseId, address indexed to, uint256 amount, uint256 collected);
    event CreditWithdrawn(address indexed token, address indexed account, address indexed to, uint256 amount);
    event FeesWithdrawn(address indexed token, address indexed to, uint256 amount);
    /// @notice A settlement in a batch reverted and was left for another time.
    event SettleSkipped(uint256 indexed leaseId, bytes reason);
    event FeeSet(uint16 feeBps);
    event TokenAllowed(address indexed token, bool allowed);
    event EntriesPaused(bool paused);

    error LeaseBook_EntriesPaused();
    error LeaseBook_ZeroAddress();
    /// @dev Paying this contract itself would strand the money.
    error LeaseBook_SelfTransfer();
    error LeaseBook_TokenNotAllowed(address token);
    error LeaseBook_NotSiteOwner(address account);
    error LeaseBook_NotPendingOwner(address caller, address pendingOwner);
    error LeaseBook_UnknownSite(uint256 siteId);
    error LeaseBook_UnknownListing(uint256 listingId);
    error LeaseBook_UnknownLease(uint256 leaseId);
    error LeaseBook_AccountFrozen(address account);
    error LeaseBook_OwnerParty(address account);
    error LeaseBook_OutOfBounds(bytes32 what, uint256 value, uint256 min, uint256 max);
    error LeaseBook_TooManyListings(uint256 live, uint256 max);
    error LeaseBook_CapacityExceeded(uint256 at, uint256 gpus, uint256 available);
    error LeaseBook_ListingWithdrawn(uint256 listingId);
    error LeaseBook_BelowLeased(uint256 gpus, uint256 leased);
    error LeaseBook_WindowCutsLeases(uint256 from, uint256 until, uint256 busyFrom, uint256 busyUntil);
    error LeaseBook_SharesAlreadyIssued(uint256 siteId, address share);
    error LeaseBook_StaleVersion(uint256 version, uint256 current);
    error LeaseBook_Expired(uint256 deadline, uint256 time);
    error LeaseBook_PriceAboveMax(uint256 price, uint256 maxPrice);
    error LeaseBook_NotEnoughGpus(uint256 gpus, uint256 free);
    error LeaseBook_NotEnoughBond(uint256 needed, uint256 free);
    error LeaseBook_DepositOutOfBounds(uint256 deposit, uint256 min, uint256 max);
    error LeaseBook_AlreadyClosing(uint256 leaseId, uint256 end);
    error LeaseBook_Ended(uint256 leaseId, uint256 end);
    error LeaseBook_NotEnded(uint256 leaseId, uint256 end);
    error LeaseBook_CodeOutOfRange(uint256 code, uint256 min, uint256 max);
    /// @dev A closing or reclaim that would not end the lease before `current`.
    error LeaseBook_NotEarlier(uint256 end, uint256 current);
    error LeaseBook_NotHolder(address caller, uint256 leaseId);
    error LeaseBook_NothingToCollect(uint256 leaseId);
    error LeaseBook_NothingToSettle(uint256 leaseId, uint256 settledUntil);
    error LeaseBook_NothingToWithdraw(address token, address account);
    error LeaseBook_NothingPending(uint256 siteId);
    error LeaseBook_AlreadyReleased(uint256 leaseId);
    error LeaseBook_GasTooLow(uint256 gas, uint256 needed);
    error LeaseBook_TransferFee(uint256 received, uint256 expected);

    // ------------------------------------------------------------------ sites

    /// @notice Registers a site of `gpus` GPUs settled in `token`, owned by the caller, a valid site owner.
    function registerSite(address token, uint32 gpus, bytes32 region, string calldata name)
        external
        returns (uint256 siteId);
    /// @notice First step of a hand-over; `newOwner` 0 takes an offer back.
    function offerSite(uint256 siteId, address newOwner) external;
    /// @notice Second step, by the pending owner, a valid site owner. Credits of the past stay with the old owner.
    function acceptSite(uint256 siteId) external;
    /// @notice Issues the site's shares: a claim on `revenueBps` of rent settled from now on; once a site.
    function issue(uint256 siteId, uint16 revenueBps, uint256 supply, string calldata name, string calldata symbol)
        external
        returns (address share);
    /// @notice Adds to a site's bond, from anyone.
    function postBond(uint256 siteId, uint128 amount) external;
    function postBondWithPermit(uint256 siteId, uint128 amount, Permit calldata permit) external;
    /// @notice Pays unlocked bond to `to` (owner, not frozen).
    function withdrawBond(uint256 siteId, uint128 amount, address to) external;

    // --------------------------------------------------------------- listings

    function list(uint256 siteId, Terms calldata terms) external returns (uint256 listingId);
    /// @notice Replaces a listing's terms by a new version. Leases keep theirs.
    function amend(uint256 listingId, Terms calldata terms) external;
    /// @notice Takes a listing off the market; its leases run on.
    function withdrawListing(uint256 listingId) external;

    // ----------------------------------------------------------------- leases

    /// @notice Exactly what `open` would charge now for `gpus` GPUs over `term` seconds.
    function quote(uint256 listingId, uint24 gpus, uint32 term) external view returns (Quote memory);
    function open(OpenParams calldata params) external returns (uint256 leaseId);
    function openWithPermit(OpenParams calldata params, Permit calldata permit) external returns (uint256 leaseId);
    /// @notice Adds to a lease's deposit, a gift to its token: up to its term, not once dry or closing.
    function fund(uint256 leaseId, uint96 amount) external;
    function fundWithPermit(uint256 leaseId, uint96 amount, Permit calldata permit) external;
    /// @notice Closes at the later of now + notice and start + minimum term; at once when the owner is reclaiming.
    function close(uint256 leaseId, uint16 code) external;
    /// @notice Takes the GPUs back after the reclaim window, for a compensation from the lease's bond.
    function reclaim(uint256 leaseId, uint16 code) external;
    /// @notice Settles what the meter holds final: fee, share holders, site owner; at the end SLA and bond.
    function settle(uint256 leaseId) external;
    /// @notice `settle` for a page; failures are skipped and named by an event.
    function settleMany(uint256[] calldata leaseIds) external;
    /// @notice Frees the GPUs of an ended lease; by anyone.
    function release(uint256 leaseId) external;
    /// @notice Pays what exceeds the price of time not yet settled to `to`, for the holder or whom he approved; burns the
    /// token when all is paid.
    function collect(uint256 leaseId, address to) external returns (uint256 amount);
    /// @notice Sends a site's deferred shares' part again; by anyone.
    function pushShares(uint256 siteId) external;
    function withdrawCredit(address token, address to) external returns (uint256 amount);

    // ----------------------------------------------------------------- policy

    function setFee(uint16 feeBps) external;
    /// @notice A token taken off the list stops new sites and leases; all that is open in it runs on.
    function setTokenAllowed(address token, bool allowed) external;
    function setEntriesPaused(bool paused) external;
    function withdrawFees(address token, address to) external returns (uint256 amount);

    // ------------------------------------------------------------------ views

    function siteOf(uint256 siteId) external view returns (Site memory);
    function listingOf(uint256 listingId) external view returns (Listing memory);
    function termsOf(uint256 listingId, uint16 version) external view returns (Terms memory);
    function leaseOf(uint256 leaseId) external view returns (Lease memory);
    /// @notice The earliest of term, funds and closing.
    function endOf(uint256 leaseId) external view returns (uint40);
    function stateOf(uint256 leaseId) external view returns (LeaseState);
    /// @notice What the meter needs of a lease. `curtailable` in GPU-seconds over the whole term.
    function meterTerms(uint256 leaseId)
        external
        view
        returns (uint32 siteId, uint24 gpus, uint40 start, uint40 end, uint256 curtailable);
    function collectable(uint256 leaseId) external view returns (uint256);
    /// @notice The penalty as it would be were the lease's last settlement now, from what the meter holds final.
    function penaltyOf(uint256 leaseId) external view returns (uint256);
    function creditOf(address token, address account) external view returns (uint256);
    function feesOf(address token) external view returns (uint256);
    function pendingSharesOf(uint256 siteId) external view returns (uint256);
    /// @notice Everything this contract owes in `token`: escrow, bonds, credits, fees, deferred shares' parts.
    function totalOwed(address token) external view returns (uint256);
    function siteCount() external view returns (uint256);
    function listingCount() external view returns (uint256);
    function leaseCount() external view returns (uint256);
    function liveListingsOf(uint256 siteId) external view returns (uint32[] memory);
    function feeBps() external view returns (uint16);
    function registry() external view returns (IIdentityRegistry);
    function meter() external view returns (IUsageMeter);
    /// @notice The CapacityShare that every offering is a clone of; deployed by this contract's constructor.
    function shareImplementation() external view returns (address);
    function isTokenAllowed(address token) external view returns (bool);
    function entriesPaused() external view returns (bool);
}
