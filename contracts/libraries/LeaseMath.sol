// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {LeaseRecord} from "./LeaseStore.sol";

/// @notice What one settlement moves, in base units: totals after it, then increases.
struct Split {
    uint256 rentTotal;
    uint256 unsharedNet;
    uint256 fee;
    uint256 shares;
    uint256 ownerPart;
}

/// @title LeaseMath
/// @notice The arithmetic of leases. Prices in base units per GPU-hour, amounts in base units, times in unix seconds,
/// ratios in basis points. Names say which way each rounds.
/// @dev Nothing overflows within the bounds that listings are held to: price < 2^72, GPU-seconds < 2^48, amounts < 2^88.
library LeaseMath {
    uint256 internal constant BPS = 10_000;
    uint256 internal constant HOUR = 3_600;

    /// @notice Price of the next `gpus` of a listing of `listed`, `leased` of them taken: linear from floor to ceiling,
    /// averaged over the fill, so that splitting an order changes nothing but rounding.
    function priceUp(uint256 floorPrice, uint256 ceilingPrice, uint256 listed, uint256 leased, uint256 gpus)
        internal
        pure
        returns (uint256)
    {
        return floorPrice + Math.ceilDiv((ceilingPrice - floorPrice) * (2 * leased + gpus), 2 * listed);
    }

    /// @notice Price of `gpuSeconds`, rounded up: what is asked or held back.
    function costUp(uint256 price, uint256 gpuSeconds) internal pure returns (uint256) {
        return Math.ceilDiv(price * gpuSeconds, HOUR);
    }

    /// @notice Price of `gpuSeconds`, rounded down: what is earned.
    function costDown(uint256 price, uint256 gpuSeconds) internal pure returns (uint256) {
        return price * gpuSeconds / HOUR;
    }

    /// @notice `ratioBps` of `amount`, rounded down.
    function partDown(uint256 amount, uint256 ratioBps) internal pure returns (uint256) {
        return amount * ratioBps / BPS;
    }

    /// @notice Penalty for `due` GPU-seconds of which `available` were delivered, before the bond limits it.
    function penaltyDown(uint256 price, uint256 due, uint256 available, uint256 slaBps, uint256 penaltyBps)
        internal
        pure
        returns (uint256)
    {
        uint256 short = Math.saturatingSub(slaBps * due, BPS * available);
        return price * short * penaltyBps / (HOUR * BPS * BPS);
    }

    /// @notice Compensation for `gpuSeconds` of funded time that an owner takes back, before the bond limits it.
    function compensationDown(uint256 price, uint256 gpuSeconds, uint256 compensationBps)
        internal
        pure
        returns (uint256)
    {
        return price * gpuSeconds * compensationBps / (HOUR * BPS);
    }

    /// @notice The earliest of term, funds and closing, never before the start: at it the lease ends, called or not.
    function endOf(LeaseRecord storage lease) internal view returns (uint256 end) {
        uint256 funded = uint256(lease.deposited) * HOUR / (uint256(lease.price) * lease.gpus);
        end = lease.start + Math.min(lease.term, funded);
        uint256 closingAt = lease.closingAt;
        if (closingAt != 0) end = Math.min(end, closingAt);
    }

    /// @notice Splits what rent has grown since the last settlement. Every term is a difference of totals, so every sequence
    /// of settlements pays the same.
    /// @param available GPU-seconds attested since opening. @param shared Whether the site has issued shares.
    function split(LeaseRecord storage lease, uint256 available, bool shared, uint256 revenueBps)
        internal
        view
        returns (Split memory s)
    {
        uint256 rentBefore = costDown(lease.price, lease.available);
        s.rentTotal = costDown(lease.price, available);
        uint256 feeBefore = partDown(rentBefore, lease.feeBps);
        uint256 feeAfter = partDown(s.rentTotal, lease.feeBps);
        uint256 netBefore = rentBefore - feeBefore;
        uint256 netAfter = s.rentTotal - feeAfter;
        s.unsharedNet = shared ? (lease.hasUnshared ? lease.unsharedNet : 0) : netAfter;
        s.fee = feeAfter - feeBefore;
        if (shared) {
            s.shares = partDown(netAfter - s.unsharedNet, revenueBps) - partDown(netBefore - s.unsharedNet, revenueBps);
        }
        s.ownerPart = netAfter - netBefore - s.shares;
    }

    /// @notice What the holder can collect now: all that was paid in or owed to him, less rent, less what was collected, less
    /// the price of time not yet settled.
    function collectableDown(LeaseRecord storage lease) internal view returns (uint256) {
        uint256 paidIn = uint256(lease.deposited) + lease.penalty + lease.compensation;
        uint256 used = costDown(lease.price, lease.available) + lease.collected;
        if (!lease.finalised) {
            uint256 unsettled = endOf(lease) - lease.start - lease.settled;
            used += costUp(lease.price, lease.gpus * unsettled);
        }
        return Math.saturatingSub(paidIn, used);
    }
}
