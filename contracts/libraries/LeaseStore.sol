// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

import {Terms} from "../interfaces/ILeaseBook.sol";

/// @notice A site in four slots, arranged so that opening a lease writes one and reads one. Amounts in base units.
/// @param pendingShares Share holders' part that a clone refused; owed until pushed.
struct SiteState {
    address owner;
    uint96 lockedBond;
    address token;
    uint96 bond;
    address share;
    uint32 gpus;
    uint16 revenueBps;
    address pendingOwner;
    uint96 pendingShares;
}

/// @notice A listing in one slot: see `Listing`. @param bondPerGpu Copied from the current version's terms.
struct ListingState {
    uint32 siteId;
    uint16 version;
    uint24 leased;
    uint40 busyFrom;
    uint40 busyUntil;
    bool withdrawn;
    uint96 bondPerGpu;
}

/// @notice A lease: see `Lease`. Opening it writes the first two slots, settling it the second.
/// @param term Seconds. @param available GPU-seconds settled: rent follows from it.
/// @param settled Seconds from the start that are settled.
/// @param hasUnshared Whether `unsharedNet` need be read: something was settled before shares were issued.
struct LeaseRecord {
    uint32 siteId;
    uint32 listingId;
    uint16 version;
    uint24 gpus;
    uint40 start;
    uint32 term;
    uint40 closingAt;
    uint16 code;
    bool released;
    bool finalised;
    bool hasUnshared;
    uint72 price;
    uint88 deposited;
    uint16 feeBps;
    uint48 available;
    uint32 settled;
    uint96 collected;
    uint80 compensation;
    uint80 penalty;
    uint96 unsharedNet;
}

/// @param owed All that the LeaseBook owes in this token. @param fees The protocol's part of it.
struct TokenState {
    uint128 owed;
    uint120 fees;
    bool allowed;
}

/// @notice All of the LeaseBook's records in one struct, so that its linked libraries can be handed them.
struct Store {
    mapping(uint256 siteId => SiteState) sites;
    mapping(uint256 siteId => uint32[]) liveListings;
    mapping(uint256 listingId => ListingState) listings;
    mapping(uint256 listingId => mapping(uint256 version => Terms)) terms;
    mapping(uint256 leaseId => LeaseRecord) leases;
    mapping(address token => TokenState) tokens;
    mapping(address token => mapping(address account => uint256)) credits;
}
