// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

import {Lease, Listing, Terms} from "../interfaces/ILeaseBook.sol";

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
    mapping(uint256 listingId => Listing) listings;
    mapping(uint256 listingId => mapping(uint256 version => Terms)) terms;
    mapping(uint256 leaseId => Lease) leases;
    mapping(address token => TokenState) tokens;
    mapping(address token => mapping(address account => uint256)) credits;
}
