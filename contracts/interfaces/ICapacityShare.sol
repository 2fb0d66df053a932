// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice Where revenue came from.
/// @dev `Lease` only from the LeaseBook; the others from anyone, who is named in the event.
enum RevenueSource {
    Lease,
    Mining,
    DemandResponse,
    Other
}

/// @notice EIP-2612 signature; `deadline` 0 means that no permit is given. A failing permit is ignored: the allowance
/// may be there already, and a stranger may have sent the permit first.
struct Permit {
    uint256 value;
    uint256 deadline;
    uint8 v;
    bytes32 r;
    bytes32 s;
}

/// @title ICapacityShare
/// @notice The claim on a fraction of what a site's GPUs earn: ERC-20 with EIP-2612 and ERC-7943, one clone an
/// offering, fixed supply of 18 decimals, the site's cash in its own clone.
/// @dev Revenue streams in linearly. Between two distributions the index is a function of time alone:
/// `index(t) = index + (indexEnd - index) * (t - streamStart) / (streamEnd - streamStart)`, rounded down, `indexEnd` from
/// `streamEnd` on. Index units are base units x 1e36 a share unit.
/// A later distribution starts a new line at the index reached; its end is rounded down, so dust stretches nothing.
/// `claimable = accrued + floor(balance * (index(t) - paidIndex) / 1e36)`.
/// @dev Made by `Clones.cloneWithImmutableArgs(implementation, abi.encode(token, supply, siteId))`, an EIP-1167 clone that
/// reads those three from its own code: 2,000 gas less for each than from storage.
/// @dev Warning: a clone takes at most 3.4e20 base units in its life a whole share of supply (1e18 units) before its
/// index is full: plenty at 6 decimals, but a token of 18 decimals wants a supply of 1e24 or more.
/// @dev Warning: the settlement token must be plain (no fee on transfer, no rebasing).
interface ICapacityShare {
    /// @notice Revenue came in. Values after: the line on which the index now runs, and all the clone owes.
    /// @param amount Base units of the settlement token.
    /// @param ref Lease id for `Lease`; the payer's own reference otherwise.
    event Distributed(
        address indexed payer,
        RevenueSource indexed source,
        uint256 indexed ref,
        uint256 amount,
        uint128 index,
        uint128 indexEnd,
        uint40 streamStart,
        uint40 streamEnd,
        uint256 owed
    );
    /// @notice `account`'s claimable was paid to `to`; `owed` is what the clone owes after it.
    event Claimed(address indexed account, address indexed to, uint256 amount, uint256 owed);
    /// @notice A lost wallet was replaced: what `from` had accrued went along.
    event ClaimableMoved(address indexed from, address indexed to, uint256 amount);

    error CapacityShare_AlreadyInitialised();
    error CapacityShare_OnlyLeaseBook(address caller);
    error CapacityShare_SupplyOutOfBounds(uint256 supply, uint256 min, uint256 max);
    error CapacityShare_AmountOutOfBounds(uint256 amount, uint256 max);
    error CapacityShare_AccountFrozen(address account);
    error CapacityShare_Custodian(address account);
    error CapacityShare_SelfTransfer(address account);
    error CapacityShare_NothingClaimable(address account);
    error CapacityShare_ZeroAddress();
    error CapacityShare_TransferFee(uint256 received, uint256 expected);
    error CapacityShare_NotAuthorised(address caller);

    /// @notice Called once, by the LeaseBook, in the transaction that makes the clone. Mints the supply to `owner`.
    /// @dev Token, supply and site are the clone's immutable arguments (see above).
    function initialise(address owner, string calldata name, string calldata symbol) external;

    /// @notice Adds `amount` of revenue, pulled from the caller, to the stream.
    /// @dev The stream then ends at the mean of its old end and now + 1 day, weighted by what each has left to pay.
    function distribute(uint256 amount, RevenueSource source, uint256 ref) external;

    function distributeWithPermit(uint256 amount, RevenueSource source, uint256 ref, Permit calldata permit) external;

    /// @notice Pays the caller's claimable to `to`.
    function claim(address to) external returns (uint256 amount);

    /// @notice Pays `account` its claimable; by anyone.
    function claimFor(address account) external returns (uint256 amount);

    /// @notice Base units that `account` could claim at this block's time, rounded down.
    function claimableDown(address account) external view returns (uint256);

    function siteId() external view returns (uint256);
    function settlementToken() external view returns (address);
    function leaseBook() external view returns (address);

    /// @notice The line on which the index runs; see the formula above.
    function stream()
        external
        view
        returns (uint128 index, uint128 indexEnd, uint40 streamStart, uint40 streamEnd);

    function currentIndex() external view returns (uint128);
    function accountOf(address account) external view returns (uint128 paidIndex, uint120 accrued, bool hasFrozen);

    /// @notice What this clone owes to its holders, streamed or not. `token` other than the settlement token: 0.
    function totalOwed(address token) external view returns (uint256);
}
