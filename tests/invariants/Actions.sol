// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

import {CapacityShare} from "../../contracts/CapacityShare.sol";
import {RevenueSource} from "../../contracts/interfaces/ICapacityShare.sol";
import {FLAG_INVESTOR, FLAG_SITE_OWNER} from "../../contracts/interfaces/IIdentityRegistry.sol";
import {Lease, Listing, OpenParams, Quote, Site, Terms} from "../../contracts/interfaces/ILeaseBook.sol";
import {Entry, Report} from "../../contracts/interfaces/IUsageMeter.sol";
import {VM} from "./Vm.sol";
import {World} from "./World.sol";

/// @notice What people do: two site owners, four members who rent and invest, a stranger who only rents. Each action takes a
/// seed and bounds it to what can succeed; `idleOf` counts those that found nothing to do. None reverts.
/// @dev An exit that is due and refused, or an entry that should be refused and is not, is kept in `broken`.
abstract contract Actions is World {
    /// @dev One report that counts, or was voided, as this model saw it.
    struct Posted {
        uint256 from;
        uint256 postedAt;
        uint256 available;
        uint256 due;
    }

    uint256 internal constant SITES = 2;

    string internal broken;
    uint256 internal calls;
    uint256 internal idle;
    mapping(bytes4 action => uint256) internal callsOf;
    mapping(bytes4 action => uint256) internal idleOf;

    address[2] internal owners;
    address[] internal users;
    address internal stranger = address(0x5757);
    address internal frozenUser;
    bool[3] internal blocked;

    mapping(uint256 leaseId => Posted[]) internal posted;
    mapping(uint256 leaseId => uint256) internal seenSettledUntil;
    mapping(uint256 leaseId => uint256) internal seenRent;
    mapping(uint256 siteId => uint256) internal supply;
    mapping(uint256 siteId => uint256) internal seenIndex;
    mapping(uint256 siteId => uint256) internal otherRevenue;
    mapping(uint256 siteId => uint256) internal claimed;
    mapping(uint256 siteId => uint256) internal roundings;
    mapping(uint256 siteId => uint256) internal ownerWithdrawn;
    uint256 internal feesWithdrawn;

    modifier action() {
        ++calls;
        ++callsOf[msg.sig];
        _;
        _watch();
    }

    function setUp() public {
        _deploy();
        for (uint160 i; i < 4; ++i) {
            address user = address(0x1001 + i);
            users.push(user);
            _register(user, FLAG_INVESTOR, uint128(0x1001 + i));
            _fund(user);
        }
        _fund(stranger);
        for (uint160 i; i < SITES; ++i) {
            owners[i] = address(0x2001 + i);
            _register(owners[i], FLAG_SITE_OWNER, uint128(0x2001 + i));
            _fund(owners[i]);
            VM.prank(owners[i]);
            uint256 siteId = book.registerSite(address(usd), uint32(48 >> i), "eu-north", "Drake");
            VM.prank(owners[i]);
            book.postBond(siteId, 2_000e6);
            VM.prank(owners[i]);
            book.list(siteId, _randomTerms(i, 8));
        }
        _issue(1);
        CapacityShare share = _share(1);
        VM.prank(owners[0]);
        share.transfer(users[0], 100e18);
    }

    // ---------------------------------------------------------------- entries

    /// @notice A new listing; or, where the site is full, a changed or withdrawn one.
    function list(uint256 seed) external action {
        uint256 siteId = 1 + seed % SITES;
        bool paused = book.entriesPaused();
        VM.prank(owners[siteId - 1]);
        try book.list(siteId, _randomTerms(seed >> 8, uint24(1 + (seed >> 16) % 12))) {
            if (paused) _break("listed while paused");
            return;
        } catch {}
        for (uint256 i; i < book.listingCount(); ++i) {
            uint256 id = 1 + (seed % 1e18 + i) % book.listingCount();
            Listing memory l = book.listingOf(id);
            if (l.siteId != siteId || l.withdrawn) continue;
            Terms memory terms = book.termsOf(id, l.version);
            terms.ceilingPrice = uint72(terms.floorPrice + seed % 3e6);
            terms.until += 1 hours;
            VM.prank(owners[siteId - 1]);
            if (seed % 4 == 0) return book.withdrawListing(id);
            try book.amend(id, terms) {
                if (paused) _break("amended while paused");
                return;
            } catch {}
        }
        _nothing();
    }

    function open(uint256 seed) external action {
        if (!_open(seed)) _nothing();
    }

    /// @notice Site 2 issues its shares in the middle of its leases; after that, revenue from elsewhere comes in.
    function distribute(uint256 seed) external action {
        if (book.siteOf(2).share == address(0) && !book.entriesPaused()) return _issue(2);
        uint256 siteId = 1 + seed % SITES;
        if (book.siteOf(siteId).share == address(0) || blocked[siteId]) siteId = 3 - siteId;
        if (book.siteOf(siteId).share == address(0) || blocked[siteId]) return _nothing();
        _distribute(siteId, 1 + seed % 100e6);
    }

    // ------------------------------------------------------- attested by many

    function report(uint256 seed) external action {
        VM.warp(block.timestamp + 1 hours + seed % 1 hours);
        if (!_reportAny(seed)) _nothing();
    }

    function void(uint256 seed) external action {
        if (_void(seed)) return;
        VM.warp(block.timestamp + 1 hours);
        if (!_reportAny(seed) || !_void(seed)) _nothing();
    }

    // ------------------------------------------------------------------ exits

    /// @notice Adds to a deposit: never paused, like all that follows.
    function fund(uint256 seed) external action {
        for (uint256 i; i < book.leaseCount(); ++i) {
            uint256 id = _leaseAt(seed, i);
            Lease memory l = book.leaseOf(id);
            if (block.timestamp >= book.endOf(id) || l.closingAt != 0) continue;
            uint256 cost = uint256(l.price) * l.gpus * (l.termEnd - l.start);
            uint256 max = (cost + 3599) / 3600 - l.deposited;
            if (max == 0) continue;
            VM.prank(_user(seed, true));
            try book.fund(id, uint96(_between(seed >> 8, 1, max))) {
                return;
            } catch {
                return _break("fund refused");
            }
        }
        _nothing();
    }

    /// @dev Refused, and rightly, where the lease would end before.
    function close(uint256 seed) external action {
        for (uint256 i; i < book.leaseCount(); ++i) {
            uint256 id = _leaseAt(seed, i);
            if (block.timestamp >= book.endOf(id)) continue;
            address owner = owners[book.leaseOf(id).siteId - 1];
            if (seed % 3 != 0) {
                VM.prank(book.ownerOf(id));
                try book.close(id, 1) {
                    return;
                } catch {}
            }
            VM.prank(owner);
            try book.reclaim(id, 10_001) {
                return;
            } catch {}
        }
        _nothing();
    }

    function settle(uint256 seed) external action {
        if (_settle(seed)) return;
        _reportAny(seed);
        VM.warp(block.timestamp + WINDOW);
        if (!_settle(seed)) _nothing();
    }

    function release(uint256 seed) external action {
        for (uint256 i; i < book.leaseCount(); ++i) {
            uint256 id = _leaseAt(seed, i);
            if (block.timestamp < book.endOf(id) || book.leaseOf(id).released) continue;
            try book.release(id) {
                return;
            } catch {
                return _break("release refused");
            }
        }
        _nothing();
    }

    function collect(uint256 seed) external action {
        for (uint256 i; i < book.leaseCount(); ++i) {
            uint256 id = _leaseAt(seed, i);
            uint256 amount = book.collectable(id);
            if (amount == 0 || book.ownerOf(id) == frozenUser) continue;
            address holder = book.ownerOf(id);
            VM.prank(holder);
            try book.collect(id, holder) {
                return;
            } catch {
                return _break("collect refused");
            }
        }
        _nothing();
    }

    function transferLease(uint256 seed) external action {
        for (uint256 i; i < book.leaseCount(); ++i) {
            uint256 id = _leaseAt(seed, i);
            if (_burnt(id)) continue;
            address holder = book.ownerOf(id);
            if (holder == frozenUser) continue;
            VM.prank(holder);
            try book.transferFrom(holder, _user(seed, true), id) {
                return;
            } catch {
                return _break("lease transfer refused");
            }
        }
        _nothing();
    }

    function transferShares(uint256 seed) external action {
        uint256 siteId = 1 + seed % SITES;
        if (book.siteOf(siteId).share == address(0)) siteId = 1;
        CapacityShare share = _share(siteId);
        address to = _user(seed, false);
        for (uint256 i; i <= users.length; ++i) {
            uint256 index = (seed % 1e18 + i) % (users.length + 1);
            address from = index == users.length ? owners[siteId - 1] : users[index];
            if (from == frozenUser || from == to || share.balanceOf(from) == 0) continue;
            uint256 before = share.claimableDown(from);
            uint256 beforeTo = share.claimableDown(to);
            uint256 amount = _between(seed >> 8, 1, share.balanceOf(from));
            VM.prank(from);
            try share.transfer(to, amount) {}
            catch {
                return _break("share transfer refused");
            }
            roundings[siteId] += 2;
            if (share.claimableDown(from) != before) _break("a sale moved the seller's revenue");
            if (share.claimableDown(to) != beforeTo) _break("a sale moved the buyer's revenue");
            return;
        }
        _nothing();
    }

    function claim(uint256 seed) external action {
        if (_claim(seed)) return;
        if (blocked[1]) return _nothing();
        _distribute(1, 1e6);
        VM.warp(block.timestamp + 1 hours);
        if (!_claim(seed)) _nothing();
    }

    function withdraw(uint256 seed) external action {
        address token = address(usd);
        uint256 siteId = 1 + seed % SITES;
        if (book.creditOf(token, owners[siteId - 1]) == 0) siteId = 3 - siteId;
        address owner = owners[siteId - 1];
        if (seed % 5 == 0 && book.feesOf(token) != 0) {
            feesWithdrawn += book.withdrawFees(token, address(this));
        } else if (book.creditOf(token, owner) != 0) {
            VM.prank(owner);
            try book.withdrawCredit(token, owner) returns (uint256 amount) {
                ownerWithdrawn[siteId] += amount;
            } catch {
                _break("credit refused");
            }
        } else {
            _nothing();
        }
    }

    function bond(uint256 seed) external action {
        uint256 siteId = 1 + seed % SITES;
        Site memory s = book.siteOf(siteId);
        uint256 free = s.bond - s.lockedBond;
        VM.prank(owners[siteId - 1]);
        if (seed % 3 == 0 && free > 500e6) {
            try book.withdrawBond(siteId, uint128(free / 3), owners[siteId - 1]) {}
            catch {
                _break("unlocked bond refused");
            }
        } else {
            try book.postBond(siteId, 100e6) {}
            catch {
                _break("bond refused");
            }
        }
    }

    // ----------------------------------------------------------------- powers

    function freeze(uint256 seed) external action {
        if (frozenUser != address(0)) {
            registry.setFrozen(frozenUser, false);
            frozenUser = address(0);
        } else {
            frozenUser = users[seed % users.length];
            registry.setFrozen(frozenUser, true);
        }
    }

    function pause(uint256 seed) external action {
        bool paused = !book.entriesPaused() && seed % 4 == 0;
        book.setEntriesPaused(paused);
        registry.setEntriesPaused(paused);
    }

    /// @notice The dollar's issuer blocks a clone, or lets it go again: then its deferred part is sent by anyone.
    function blocklist(uint256 seed) external action {
        uint256 siteId = 1 + seed % SITES;
        address share = book.siteOf(siteId).share;
        if (blocked[siteId]) {
            blocked[siteId] = false;
            usd.unBlacklist(share);
            if (book.pendingSharesOf(siteId) == 0) return;
            try book.pushShares(siteId) {}
            catch {
                _break("deferred part refused");
            }
        } else if (share != address(0)) {
            blocked[siteId] = true;
            usd.blacklist(share);
        } else {
            _nothing();
        }
    }

    /// @notice What must always be refused.
    function refused(uint256 seed) external action {
        CapacityShare share = _share(1);
        address from = owners[0];
        if (share.balanceOf(from) == 0) from = users[seed % users.length];
        VM.prank(from);
        try share.transfer(frozenUser == address(0) ? stranger : frozenUser, 1) {
            _break("a frozen account or a stranger received shares");
        } catch {}
        if (frozenUser == address(0)) return;
        VM.prank(frozenUser);
        try share.claim(frozenUser) {
            _break("a frozen account claimed");
        } catch {}
        for (uint256 id = 1; id <= book.leaseCount(); ++id) {
            if (_burnt(id) || book.ownerOf(id) != frozenUser) continue;
            VM.prank(frozenUser);
            try book.collect(id, frozenUser) {
                _break("a frozen account collected");
            } catch {}
            VM.prank(frozenUser);
            try book.transferFrom(frozenUser, stranger, id) {
                _break("a frozen account sold a lease");
            } catch {}
        }
    }

    // ---------------------------------------------------------------- helpers

    function _issue(uint256 siteId) internal {
        VM.prank(owners[siteId - 1]);
        supply[siteId] = 1_000e18;
        book.issue(siteId, 6_000, supply[siteId], "Drake capacity", "DRK");
    }

    function _distribute(uint256 siteId, uint256 amount) private {
        CapacityShare share = _share(siteId);
        VM.prank(owners[siteId - 1]);
        usd.approve(address(share), type(uint256).max);
        VM.prank(owners[siteId - 1]);
        share.distribute(amount, RevenueSource.Mining, 0);
        otherRevenue[siteId] += amount;
        ++roundings[siteId];
    }

    function _open(uint256 seed) private returns (bool opened) {
        address tenant = _user(seed, true);
        for (uint256 i; i < book.listingCount(); ++i) {
            uint256 id = 1 + (seed % 1e18 + i) % book.listingCount();
            Listing memory l = book.listingOf(id);
            Terms memory terms = book.termsOf(id, l.version);
            if (l.withdrawn || terms.gpus == l.leased) continue;
            uint24 gpus = uint24(1 + (seed >> 8) % _min(4, terms.gpus - l.leased));
            uint32 term = uint32(8 hours + (seed >> 16) % 40 hours);
            Quote memory q = book.quote(id, gpus, term);
            if (q.bond > q.bondFree) continue;
            OpenParams memory p = OpenParams({
                listingId: uint32(id),
                version: l.version,
                gpus: gpus,
                term: term,
                deposit: uint96(_between(seed >> 32, q.maxDeposit / 2, q.maxDeposit)),
                maxPrice: q.price,
                holder: tenant,
                deadline: uint40(block.timestamp)
            });
            bool paused = book.entriesPaused();
            VM.prank(tenant);
            try book.open(p) {
                opened = true;
            } catch {}
            if (opened == paused) _break(paused ? "opened while paused" : "open refused");
            return opened;
        }
    }

    /// @dev Reports what there is at either site; with no lease running, one is opened and its first hours awaited.
    function _reportAny(uint256 seed) private returns (bool) {
        if (_report(seed, 1 + seed % SITES) || _report(seed, 2 - seed % SITES)) return true;
        if (!_open(seed)) return false;
        VM.warp(book.leaseOf(book.leaseCount()).start + 2 hours);
        return _report(seed, 1) || _report(seed, 2);
    }

    /// @dev Reports every lease of a site up to now, some with a gap, some short, some curtailed.
    function _report(uint256 seed, uint256 siteId) private returns (bool any) {
        Report memory r;
        r.siteId = siteId;
        r.entries = new Entry[](book.leaseCount());
        Posted[] memory news = new Posted[](r.entries.length);
        uint256 count;
        for (uint256 id = 1; id <= book.leaseCount(); ++id) {
            if (book.leaseOf(id).siteId != siteId) continue;
            (bool ok, Entry memory e, uint256 due) = _entry(uint256(keccak256(abi.encode(seed, id))), id);
            if (!ok) continue;
            r.entries[count] = e;
            news[count++] = Posted({from: e.fromEpoch, postedAt: block.timestamp, available: e.available, due: due});
        }
        Entry[] memory entries = r.entries;
        assembly ("memory-safe") {
            mstore(entries, count)
        }
        if (count == 0) return false;
        meter.report(r, _signatures(r));
        for (uint256 i; i < count; ++i) {
            (uint32 reportedTo,,,,,) = meter.totals(entries[i].leaseId);
            if (reportedTo != entries[i].toEpoch) continue; // the ring was full
            posted[entries[i].leaseId].push(news[i]);
            any = true;
        }
    }

    function _entry(uint256 seed, uint256 id) private view returns (bool, Entry memory e, uint256 due) {
        (, uint24 gpus, uint40 start, uint40 end, uint256 curtailable) = book.meterTerms(id);
        uint256 curtailedBefore;
        e.leaseId = id;
        (, e.round,,,, curtailedBefore) = meter.totals(id);
        e.fromEpoch = meter.lapsedTo(id) + (seed % 8 == 0 ? 1 : 0);
        e.toEpoch = uint32(_min(block.timestamp, end + 1 hours - 1) / 1 hours);
        if (e.toEpoch <= e.fromEpoch) return (false, e, 0);
        uint256 from = uint256(e.fromEpoch) * 1 hours;
        uint256 seconds_ = _min(uint256(e.toEpoch) * 1 hours, end) - (from > start ? from : start);
        due = gpus * seconds_;
        e.available = uint64(_between(seed >> 8, due / 2, due));
        e.busy = e.available / 2;
        if (seed % 4 == 0) e.curtailed = uint64(_min(due - e.available, curtailable - curtailedBefore));
        due -= e.curtailed;
        return (true, e, due);
    }

    function _void(uint256 seed) private returns (bool) {
        for (uint256 i; i < book.leaseCount(); ++i) {
            uint256 id = _leaseAt(seed, i);
            Posted[] storage reports = posted[id];
            uint256 finals = _finalReports(id);
            if (finals == reports.length) continue;
            uint256 first = finals + (seed >> 8) % (reports.length - finals);
            try meter.void(id, uint32(reports[first].from)) {
                while (reports.length > first) reports.pop();
                return true;
            } catch {} // some epoch was voided twice
        }
        return false;
    }

    function _settle(uint256 seed) private returns (bool) {
        for (uint256 i; i < book.leaseCount(); ++i) {
            uint256 id = _leaseAt(seed, i);
            Lease memory l = book.leaseOf(id);
            (uint256 until,,) = meter.settled(id);
            uint256 end = book.endOf(id);
            bool last = until >= end && block.timestamp >= end;
            if (l.finalised || (_min(until, end) <= l.settledUntil && !last)) continue;
            uint256[] memory page = new uint256[](2);
            (page[0], page[1]) = (id, id);
            if (seed % 4 == 0) {
                book.settleMany(page);
            } else {
                try book.settle(id) {}
                catch {
                    _break("settle refused");
                    return true;
                }
            }
            _afterSettle(id, l);
            return true;
        }
        return false;
    }

    /// @dev Only what is final by this model's own account may have been settled.
    function _afterSettle(uint256 id, Lease memory before) private {
        Lease memory l = book.leaseOf(id);
        uint256 available;
        for (uint256 i; i < _finalReports(id); ++i) available += posted[id][i].available;
        if (l.rentTotal != uint256(l.price) * available / 3600) _break("rent is not the price of what is final");
        if (l.settledUntil == before.settledUntil && !l.finalised) _break("settled nothing");
        ++roundings[l.siteId];
    }

    function _claim(uint256 seed) private returns (bool) {
        for (uint256 i; i < 2 * (users.length + 1); ++i) {
            uint256 siteId = 1 + (seed % 1e18 + i) % SITES;
            uint256 index = (seed % 1e18 + i) / 2 % (users.length + 1);
            address account = index == users.length ? owners[siteId - 1] : users[index];
            if (book.siteOf(siteId).share == address(0) || blocked[siteId] || account == frozenUser) continue;
            CapacityShare share = _share(siteId);
            uint256 amount = share.claimableDown(account);
            if (amount == 0) continue;
            if (seed % 2 == 0) VM.prank(account);
            try share.claimFor(account) returns (uint256 paid) {
                if (paid != amount) _break("a claim paid other than it showed");
                claimed[siteId] += paid;
                ++roundings[siteId];
            } catch {
                _break("claim refused");
            }
            return true;
        }
        return false;
    }

    /// @dev How many of a lease's reports are final: they are posted in order.
    function _finalReports(uint256 id) internal view returns (uint256 count) {
        Posted[] storage reports = posted[id];
        while (count < reports.length && reports[count].postedAt + WINDOW <= block.timestamp) ++count;
    }

    function _randomTerms(uint256 seed, uint24 gpus) private view returns (Terms memory terms) {
        terms = _terms(gpus);
        terms.from = uint40(block.timestamp + (seed % 4 == 0 ? seed % 12 hours : 0));
        terms.maxTerm = 2 days;
        terms.floorPrice = uint72(1e6 + seed % 3e6);
        terms.ceilingPrice = uint72(terms.floorPrice + seed % 2e6);
        terms.bondPerGpu = uint96(seed % 8e6);
    }

    function _burnt(uint256 id) internal view returns (bool) {
        try book.ownerOf(id) returns (address) {
            return false;
        } catch {
            return true;
        }
    }

    function _share(uint256 siteId) internal view returns (CapacityShare) {
        return CapacityShare(book.siteOf(siteId).share);
    }

    /// @dev A user who is not frozen; the stranger among them where membership does not matter.
    function _user(uint256 seed, bool any) private view returns (address user) {
        uint256 count = any ? users.length + 1 : users.length;
        uint256 index = (seed >> 64) % count;
        user = index == users.length ? stranger : users[index];
        if (user == frozenUser) user = users[(index + 1) % users.length];
    }

    function _leaseAt(uint256 seed, uint256 i) private view returns (uint256) {
        return 1 + (seed % 1e18 + i) % book.leaseCount();
    }

    /// @dev What may never fall, after every action.
    function _watch() private {
        for (uint256 id = 1; id <= book.leaseCount(); ++id) {
            Lease memory l = book.leaseOf(id);
            if (l.settledUntil < seenSettledUntil[id]) _break("settled time fell");
            if (l.rentTotal < seenRent[id]) _break("settled rent fell");
            (seenSettledUntil[id], seenRent[id]) = (l.settledUntil, l.rentTotal);
        }
        for (uint256 siteId = 1; siteId <= SITES; ++siteId) {
            if (book.siteOf(siteId).share == address(0)) continue;
            uint256 index = _share(siteId).currentIndex();
            if (index < seenIndex[siteId]) _break("the index fell");
            seenIndex[siteId] = index;
        }
    }

    function _nothing() private {
        ++idle;
        ++idleOf[msg.sig];
    }

    function _break(string memory what) private {
        broken = what;
    }

    function _between(uint256 seed, uint256 low, uint256 high) private pure returns (uint256) {
        return low + seed % (high - low + 1);
    }

    function _min(uint256 a, uint256 b) internal pure returns (uint256) {
        return a < b ? a : b;
    }
}
