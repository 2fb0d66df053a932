// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ILeaseBook, Terms} from "../interfaces/ILeaseBook.sol";
import {LeaseMath} from "./LeaseMath.sol";
import {ListingState, Store} from "./LeaseStore.sol";

/// @title ListingLib
/// @notice Linked to the LeaseBook: bounds of a listing's terms and the capacity of a site.
library ListingLib {
    uint256 private constant MAX_LIVE_LISTINGS = 16;
    uint256 private constant MIN_TERM = 1 hours;
    uint256 private constant MAX_TERM = 5 * 365 days;
    uint256 private constant MAX_PENALTY_BPS = 100_000;

    /// @dev GPUs that a listing may use during `[from, until)`.
    struct Window {
        uint256 from;
        uint256 until;
        uint256 gpus;
    }

    /// @notice Writes `terms` as the next version of a listing that already names its site.
    function set(Store storage s, uint256 listingId, Terms calldata terms) external {
        ListingState storage listing = s.listings[listingId];
        uint256 siteId = listing.siteId;
        uint256 siteGpus = s.sites[siteId].gpus;

        _checkTerms(terms, siteGpus);
        _checkLeases(terms, listing);
        _checkCapacity(s, siteId, listingId, terms, siteGpus);

        uint16 version = listing.version + 1;
        listing.version = version;
        listing.bondPerGpu = terms.bondPerGpu;
        s.terms[listingId][version] = terms;
        emit ILeaseBook.ListingSet(listingId, siteId, version, terms);
    }

    /// @dev Hard bounds, so that no terms can break the arithmetic or the meter.
    function _checkTerms(Terms calldata t, uint256 siteGpus) private view {
        _bound("gpus", t.gpus, 1, siteGpus);
        _bound("floorPrice", t.floorPrice, 1, t.ceilingPrice);
        _bound("maxTerm", t.maxTerm, MIN_TERM, MAX_TERM);
        _bound("minTerm", t.minTerm, MIN_TERM, t.maxTerm);
        _bound("until", t.until, Math.max(t.from, block.timestamp) + t.minTerm, type(uint40).max);
        _bound("notice", t.notice, 0, MAX_TERM);
        _bound("slaBps", t.slaBps, 0, LeaseMath.BPS);
        _bound("penaltyBps", t.penaltyBps, 0, MAX_PENALTY_BPS);
        _bound("curtailableBps", t.curtailableBps, 0, LeaseMath.BPS);
        _bound("wattsPerGpu", t.wattsPerGpu, 1, type(uint16).max);
        _bound("pueBps", t.pueBps, LeaseMath.BPS, type(uint16).max);
        _bound("reclaimWindow", t.reclaimWindow, 0, MAX_TERM);
        _bound("compensationBps", t.compensationBps, 0, LeaseMath.BPS);
        _bound("bond", uint256(t.gpus) * t.bondPerGpu, 0, type(uint80).max);
        _bound("model", uint256(t.model), 1, type(uint256).max);
        uint256 gpuSeconds = uint256(t.gpus) * t.maxTerm;
        _bound("gpuSeconds", gpuSeconds, 0, type(uint48).max);
        _bound("rent", LeaseMath.costUp(t.ceilingPrice, gpuSeconds), 0, type(uint88).max);
    }

    /// @dev A change never cuts into leases not yet released.
    function _checkLeases(Terms calldata t, ListingState memory listing) private pure {
        if (listing.leased == 0) return;
        if (t.gpus < listing.leased) revert ILeaseBook.LeaseBook_BelowLeased(t.gpus, listing.leased);
        if (t.from > listing.busyFrom || t.until < listing.busyUntil) {
            revert ILeaseBook.LeaseBook_WindowCutsLeases(t.from, t.until, listing.busyFrom, listing.busyUntil);
        }
    }

    /// @dev GPUs in use only rise where a window starts, so it is enough to look at the starts within the new window. Prunes
    /// the site's list of what can no longer be leased or in use.
    function _checkCapacity(Store storage s, uint256 siteId, uint256 listingId, Terms calldata t, uint256 siteGpus)
        private
    {
        uint32[] storage live = s.liveListings[siteId];
        uint256 length = live.length;
        uint32[] memory ids = new uint32[](length + 1);
        Window[] memory windows = new Window[](length + 1);
        ids[0] = uint32(listingId);
        windows[0] = Window({from: t.from, until: t.until, gpus: t.gpus});
        uint256 count = 1;
        for (uint256 i; i < length; ++i) {
            uint32 id = live[i];
            if (id == listingId) continue;
            Window memory w = _windowOf(s, id);
            if (w.gpus == 0 || w.until <= block.timestamp) continue;
            (ids[count], windows[count]) = (id, w);
            ++count;
        }
        if (count > MAX_LIVE_LISTINGS) revert ILeaseBook.LeaseBook_TooManyListings(count, MAX_LIVE_LISTINGS);
        for (uint256 i; i < count; ++i) {
            uint256 at = windows[i].from;
            if (at < t.from || at >= t.until) continue;
            uint256 sum = _gpusAt(windows, count, at);
            if (sum > siteGpus) revert ILeaseBook.LeaseBook_CapacityExceeded(at, sum, siteGpus);
        }
        assembly ("memory-safe") {
            mstore(ids, count)
        }
        s.liveListings[siteId] = ids;
    }

    function _windowOf(Store storage s, uint256 listingId) private view returns (Window memory) {
        ListingState memory listing = s.listings[listingId];
        if (listing.withdrawn) {
            return Window({from: listing.busyFrom, until: listing.busyUntil, gpus: listing.leased});
        }
        Terms storage t = s.terms[listingId][listing.version];
        return Window({from: t.from, until: t.until, gpus: t.gpus});
    }

    function _gpusAt(Window[] memory windows, uint256 count, uint256 at) private pure returns (uint256 sum) {
        for (uint256 i; i < count; ++i) {
            if (windows[i].from <= at && at < windows[i].until) sum += windows[i].gpus;
        }
    }

    function _bound(bytes32 what, uint256 value, uint256 min, uint256 max) private pure {
        if (value < min || value > max) revert ILeaseBook.LeaseBook_OutOfBounds(what, value, min, max);
    }
}
