// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

import {FLAG_SITE_OWNER} from "../../contracts/interfaces/IIdentityRegistry.sol";
import {ICapacityShare} from "../../contracts/interfaces/ICapacityShare.sol";
import {LeaseState, OpenParams, Terms} from "../../contracts/interfaces/ILeaseBook.sol";
import {Entry} from "../../contracts/interfaces/IUsageMeter.sol";
import {VM} from "./Vm.sol";
import {World} from "./World.sol";

/// @notice The two settlements worked by hand when the contracts were designed, end to end and to the unit.
contract WorkedTest is World {
    address internal owner = address(0x10);
    address internal tenant = address(0x20);
    address internal buyer = address(0x30);
    uint256 internal site;
    ICapacityShare internal share;

    function setUp() public {
        _deploy();
        _register(owner, FLAG_SITE_OWNER, 1);
        _fund(owner);
        _fund(tenant);
        VM.prank(owner);
        site = book.registerSite(address(usd), 64, "eu-north", "Drake");
        VM.prank(owner);
        book.postBond(site, 1_000e6);
    }

    function testPriceOfAPartlyLeasedListing() public {
        Terms memory terms = _terms(64);
        terms.floorPrice = 2e6;
        terms.ceilingPrice = 4e6;
        uint256 listing = _list(terms);
        _lease(listing, 16, 2 hours, 72e6);

        _equal(book.quote(listing, 8, 2 hours).price, 2.625e6, "price");
        uint256 lease = _lease(listing, 8, 2 hours, 42e6);
        _equal(book.leaseOf(lease).price, 2.625e6, "price locked");
    }

    function testShortOfItsSla() public {
        _issue();
        uint256 lease = _lease(_list(_terms(64)), 8, 24 hours, 480e6);
        uint32 first = uint32(block.timestamp / 1 hours);
        for (uint32 hour; hour < 24; ++hour) {
            VM.warp((first + hour + 1) * 1 hours);
            _attest(lease, first + hour, first + hour + 1, 0, 27_360);
            if (hour % 5 == 4 && hour > 6) book.settle(lease);
        }
        VM.warp(block.timestamp + WINDOW);
        book.settle(lease);

        (, uint256 available, uint256 due) = meter.settled(lease);
        _equal(due, 691_200, "due");
        _equal(available, 656_640, "available");
        _equal(book.leaseOf(lease).rentTotal, 456e6, "rent");
        _equal(book.feesOf(address(usd)), 4.56e6, "fee");
        _equal(share.totalOwed(address(usd)), 270.864e6, "shares");
        _equal(book.creditOf(address(usd), owner), 180.576e6, "owner");
        _equal(book.leaseOf(lease).penalty, 28.8e6, "penalty");
        _equal(book.siteOf(site).bond, 1_000e6 - 28.8e6, "bond");
        _equal(book.siteOf(site).lockedBond, 0, "locked");
        VM.prank(tenant);
        _equal(book.collect(lease, tenant), 52.8e6, "collected");
        _checkBooks();
    }

    function testSoldClosedVoidedAndLeftUnreported() public {
        _issue();
        uint256 listing = _list(_terms(64));
        VM.warp(MIDNIGHT + 10 hours + 20 minutes);
        uint256 lease = _lease(listing, 8, 24 hours, 100e6);
        uint32 midnight = uint32(MIDNIGHT / 1 hours);

        VM.warp(MIDNIGHT + 11 hours + 5 minutes);
        _attest(lease, midnight + 10, midnight + 11, 0, 19_200);
        VM.warp(MIDNIGHT + 12 hours + 5 minutes);
        _attest(lease, midnight + 11, midnight + 12, 0, 28_800);
        VM.warp(MIDNIGHT + 13 hours + 5 minutes);
        _attest(lease, midnight + 12, midnight + 13, 0, 28_800);
        VM.warp(MIDNIGHT + 13 hours + 30 minutes);
        VM.prank(tenant);
        book.transferFrom(tenant, buyer, lease);
        VM.warp(MIDNIGHT + 13 hours + 45 minutes);
        VM.prank(buyer);
        book.close(lease, 1);
        _equal(book.endOf(lease), MIDNIGHT + 14 hours + 45 minutes, "end");
        VM.warp(MIDNIGHT + 14 hours);
        meter.void(lease, midnight + 12);
        VM.warp(MIDNIGHT + 14 hours + 10 minutes);
        _attest(lease, midnight + 12, midnight + 13, 1, 14_400);
        VM.warp(MIDNIGHT + 15 hours + 5 minutes);
        _attest(lease, midnight + 14, midnight + 15, 1, 21_600);
        VM.warp(MIDNIGHT + 18 hours + 5 minutes);
        book.settle(lease);
        _equal(book.leaseOf(lease).settledUntil, MIDNIGHT + 12 hours, "settled until");
        VM.warp(MIDNIGHT + 21 hours + 5 minutes);
        book.settle(lease);

        (, uint256 available, uint256 due) = meter.settled(lease);
        _equal(due, 98_400, "due");
        _equal(available, 84_000, "available");
        _equal(book.leaseOf(lease).rentTotal, 58_333_333, "rent");
        _equal(book.feesOf(address(usd)), 583_333, "fee");
        _equal(share.totalOwed(address(usd)), 34.65e6, "shares");
        _equal(book.creditOf(address(usd), owner), 23.1e6, "owner");
        _equal(book.leaseOf(lease).penalty, 13.975e6, "penalty");
        _equal(uint256(book.stateOf(lease)), uint256(LeaseState.Final), "state");
        VM.prank(buyer);
        _equal(book.collect(lease, buyer), 55_641_667, "collected");
        _checkBooks();
    }

    function _list(Terms memory terms) private returns (uint256) {
        VM.prank(owner);
        return book.list(site, terms);
    }

    function _issue() private {
        VM.prank(owner);
        share = ICapacityShare(book.issue(site, 6_000, 1_000e18, "Drake capacity", "DRK"));
    }

    function _lease(uint256 listing, uint24 gpus, uint32 term, uint96 deposit) private returns (uint256) {
        VM.prank(tenant);
        return book.open(
            OpenParams({
                listingId: uint32(listing),
                version: 1,
                gpus: gpus,
                term: term,
                deposit: deposit,
                maxPrice: 4e6,
                holder: tenant,
                deadline: uint40(block.timestamp)
            })
        );
    }

    function _attest(uint256 lease, uint32 from, uint32 to, uint32 round, uint64 available) private {
        _report(
            site,
            Entry({
                leaseId: lease,
                fromEpoch: from,
                toEpoch: to,
                round: round,
                available: available,
                busy: available / 2,
                curtailed: 0,
                wattHours: available / 5
            })
        );
    }

    /// @dev To the unit: no token went astray on the way.
    function _checkBooks() private view {
        _equal(usd.balanceOf(address(book)), book.totalOwed(address(usd)), "the book's cash");
        _equal(usd.balanceOf(address(share)), share.totalOwed(address(usd)), "the clone's cash");
    }

    error NotEqual(string what, uint256 actual, uint256 expected);

    function _equal(uint256 actual, uint256 expected, string memory what) private pure {
        if (actual != expected) revert NotEqual(what, actual, expected);
    }
}
