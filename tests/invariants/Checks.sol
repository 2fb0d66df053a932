// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

import {CapacityShare} from "../../contracts/CapacityShare.sol";
import {Lease, Listing, Site, Terms} from "../../contracts/interfaces/ILeaseBook.sol";
import {Actions} from "./Actions.sol";

/// @notice The invariants, stated over everything that the actions have made.
abstract contract Checks is Actions {
    error Broken(string what, uint256 id, uint256 actual, uint256 expected);

    /// @notice 1. Every contract's cash is what it owes, and what it owes is the sum of its parts. Nobody sends us coins
    /// here, so the book holds not a unit more.
    function checkCash() internal view {
        uint256 parts = book.feesOf(address(usd));
        for (uint256 siteId = 1; siteId <= SITES; ++siteId) {
            Site memory s = book.siteOf(siteId);
            parts += s.bond + book.pendingSharesOf(siteId) + book.creditOf(address(usd), s.owner);
            if (s.share == address(0)) continue;
            uint256 owed = CapacityShare(s.share).totalOwed(address(usd));
            _equal("cash of an offering", siteId, usd.balanceOf(s.share), owed);
        }
        for (uint256 id = 1; id <= book.leaseCount(); ++id) parts += _held(book.leaseOf(id));
        _equal("owed by the book", 0, book.totalOwed(address(usd)), parts);
        _equal("cash of the book", 0, usd.balanceOf(address(book)), parts);
    }

    /// @notice 2. Supply is constant, and what came in was claimed, is claimable, streams in yet, or is dust: at most a unit for
    /// each rounding. That the index never falls and a sale moves no revenue is watched by the actions.
    function checkShares() internal view {
        for (uint256 siteId = 1; siteId <= SITES; ++siteId) {
            if (book.siteOf(siteId).share == address(0)) continue;
            CapacityShare share = _share(siteId);
            _equal("supply", siteId, share.totalSupply(), supply[siteId]);
            uint256 index = share.currentIndex();
            (, uint128 indexEnd,,) = share.stream();
            uint256 parts = (indexEnd - index) * supply[siteId] / 1e36;
            uint256 balances;
            for (uint256 i; i <= users.length; ++i) {
                address account = i == users.length ? owners[siteId - 1] : users[i];
                parts += share.claimableDown(account);
                balances += share.balanceOf(account);
            }
            _equal("held by members", siteId, balances, supply[siteId]);
            uint256 owed = share.totalOwed(address(usd));
            _most("claimable and streaming", siteId, parts, owed);
            _most("dust", siteId, owed - parts, roundings[siteId] + users.length + 2);
        }
    }

    /// @notice 3. A lease pays out what was paid in; rent is the price of attested time, which exceeds no GPU's time; and fees,
    /// shares and owners' parts are functions of the totals alone, whatever the order of settlements.
    function checkLeases() internal view {
        uint256 fees;
        uint256[3] memory shares;
        uint256[3] memory ownerParts;
        for (uint256 id = 1; id <= book.leaseCount(); ++id) {
            Lease memory l = book.leaseOf(id);
            uint256 attested;
            for (uint256 i; i < posted[id].length; ++i) attested += posted[id][i].available;
            _most("rent", id, l.rentTotal, uint256(l.price) * attested / 3600);
            uint256 elapsed = _min(block.timestamp, book.endOf(id)) - _min(block.timestamp, l.start);
            _most("attested", id, attested, l.gpus * elapsed);
            _most("collectable", id, book.collectable(id), _held(l));
            if (l.finalised) _equal("held at the end", id, book.collectable(id), _held(l));
            if (_burnt(id)) _equal("held by a burnt lease", id, _held(l), 0);
            uint256 fee = uint256(l.rentTotal) * l.feeBps / 1e4;
            uint256 part = (l.rentTotal - fee - l.unsharedNet) * book.siteOf(l.siteId).revenueBps / 1e4;
            fees += fee;
            shares[l.siteId] += part;
            ownerParts[l.siteId] += l.rentTotal - fee - part;
        }
        _equal("fees", 0, book.feesOf(address(usd)) + feesWithdrawn, fees);
        for (uint256 siteId = 1; siteId <= SITES; ++siteId) {
            uint256 credit = book.creditOf(address(usd), owners[siteId - 1]);
            _equal("owner's part", siteId, credit + ownerWithdrawn[siteId], ownerParts[siteId]);
            if (book.siteOf(siteId).share == address(0)) continue;
            uint256 distributed = _share(siteId).totalOwed(address(usd)) + claimed[siteId] - otherRevenue[siteId];
            _equal("shares' part", siteId, distributed + book.pendingSharesOf(siteId), shares[siteId]);
        }
    }

    /// @notice 4. At no instant are more GPUs sold than a site has, nor more on offer; locked bond is what open leases lock,
    /// within the bond.
    /// That nothing settles inside a challenge window is checked at every settlement, against the actions' own account.
    function checkCapacity() internal view {
        uint256[3] memory locked;
        for (uint256 id = 1; id <= book.leaseCount(); ++id) {
            Lease memory l = book.leaseOf(id);
            if (!l.finalised) {
                locked[l.siteId] += l.gpus * book.termsOf(l.listingId, l.version).bondPerGpu - l.compensation;
            }
            uint256 sold;
            for (uint256 other = 1; other <= book.leaseCount(); ++other) {
                Lease memory o = book.leaseOf(other);
                if (o.siteId == l.siteId && o.start <= l.start && l.start < book.endOf(other)) sold += o.gpus;
            }
            _most("GPUs sold", id, sold, book.siteOf(l.siteId).gpus);
        }
        for (uint256 id = 1; id <= book.listingCount(); ++id) {
            (uint256 siteId, uint256 from, uint256 until,) = _offer(id);
            if (until > block.timestamp) _most("GPUs on offer", id, _offered(siteId, from), book.siteOf(siteId).gpus);
        }
        for (uint256 siteId = 1; siteId <= SITES; ++siteId) {
            Site memory s = book.siteOf(siteId);
            _equal("locked bond", siteId, s.lockedBond, locked[siteId]);
            _most("locked bond", siteId, s.lockedBond, s.bond);
        }
    }

    /// @notice 7. No stranger holds shares. Frozen accounts, refused exits and accepted misdeeds are watched by the actions.
    function checkMembers() internal view {
        for (uint256 siteId = 1; siteId <= SITES; ++siteId) {
            if (book.siteOf(siteId).share == address(0)) continue;
            _equal("a stranger's shares", siteId, _share(siteId).balanceOf(stranger), 0);
        }
        require(bytes(broken).length == 0, broken);
    }

    /// @dev GPUs that a site's listings hold at `time`; those whose window is over hold none any more.
    function _offered(uint256 siteId, uint256 time) private view returns (uint256 sum) {
        for (uint256 id = 1; id <= book.listingCount(); ++id) {
            (uint256 site, uint256 from, uint256 until, uint256 gpus) = _offer(id);
            if (site == siteId && until > block.timestamp && from <= time && time < until) sum += gpus;
        }
    }

    /// @dev What a listing holds of its site; once withdrawn, no more than its leases.
    function _offer(uint256 id) private view returns (uint256 siteId, uint256 from, uint256 until, uint256 gpus) {
        Listing memory l = book.listingOf(id);
        if (l.withdrawn) return (l.siteId, l.busyFrom, l.busyUntil, l.leased);
        Terms memory t = book.termsOf(id, l.version);
        return (l.siteId, t.from, t.until, t.gpus);
    }

    function _held(Lease memory l) private pure returns (uint256) {
        return uint256(l.deposited) + l.penalty + l.compensation - l.rentTotal - l.collected;
    }

    function _equal(string memory what, uint256 id, uint256 actual, uint256 expected) private pure {
        if (actual != expected) revert Broken(what, id, actual, expected);
    }

    function _most(string memory what, uint256 id, uint256 actual, uint256 limit) private pure {
        if (actual > limit) revert Broken(what, id, actual, limit);
    }
}
