// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {ICapacityShare, Permit, RevenueSource} from "./interfaces/ICapacityShare.sol";
import {IERC7943Fungible} from "./interfaces/IERC7943Fungible.sol";
import {FLAG_CUSTODIAN, FLAG_FROZEN, IIdentityRegistry} from "./interfaces/IIdentityRegistry.sol";

/// @title CapacityShare
/// @notice See ICapacityShare.
/// @dev Roles are asked of the shared AccessManager as if the LeaseBook were called (`canCall(caller, leaseBook, sig)`), so
/// that one configuration serves every clone. Delayed execution is not supported here: only immediate permissions count.
/// @dev A payer of revenue need not be known to the registry: his cash comes from his own wallet, not from our books.
contract CapacityShare is ICapacityShare, IERC7943Fungible, IERC165, ERC20Permit, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @dev The line on which the index runs, in two slots. `owed` is all that was distributed and not yet claimed.
    struct Stream {
        uint128 index;
        uint40 start;
        uint40 end;
        uint128 indexEnd;
        uint128 owed;
    }

    /// @dev One word, so that a transfer writes it once: paid index (128 bits), accrued base units (120), and a bit that saves
    /// reading `_frozen`.
    struct Account {
        uint256 word;
    }

    uint256 private constant INDEX_SCALE = 1e36;
    uint40 private constant STREAM_DURATION = 1 days;
    uint256 private constant MIN_SUPPLY = 1e18;
    uint256 private constant MAX_SUPPLY = 1e30;
    uint256 private constant ACCRUED_SHIFT = 128;
    uint256 private constant ACCRUED_MASK = uint256(type(uint120).max) << ACCRUED_SHIFT;
    uint256 private constant HAS_FROZEN = 1 << 248;
    /// @dev Where an EIP-1167 clone's immutable arguments begin in its code.
    uint256 private constant ARGS_OFFSET = 0x2d;

    IIdentityRegistry private immutable REGISTRY;
    address private immutable LEASE_BOOK;
    IAccessManager private immutable MANAGER;
    address private immutable IMPLEMENTATION;

    Stream private _stream;
    mapping(address account => Account) private _accounts;
    mapping(address account => uint256) private _frozen;
    string private _shareName;
    string private _shareSymbol;

    /// @notice The implementation that clones delegate to; itself never initialised.
    constructor(IIdentityRegistry registry, address leaseBook_, address manager)
        ERC20("", "")
        ERC20Permit("Drakewell CapacityShare")
    {
        REGISTRY = registry;
        LEASE_BOOK = leaseBook_;
        MANAGER = IAccessManager(manager);
        IMPLEMENTATION = address(this);
    }

    /// @inheritdoc ICapacityShare
    function initialise(address owner, string calldata name_, string calldata symbol_) external {
        if (address(this) == IMPLEMENTATION || totalSupply() != 0) revert CapacityShare_AlreadyInitialised();
        if (msg.sender != LEASE_BOOK) revert CapacityShare_OnlyLeaseBook(msg.sender);
        (, uint256 supply,) = _cloneArgs();
        if (supply < MIN_SUPPLY || supply > MAX_SUPPLY) {
            revert CapacityShare_SupplyOutOfBounds(supply, MIN_SUPPLY, MAX_SUPPLY);
        }
        _shareName = name_;
        _shareSymbol = symbol_;
        _mint(owner, supply);
    }

    // ---------------------------------------------------------------- revenue

    /// @inheritdoc ICapacityShare
    function distribute(uint256 amount, RevenueSource source, uint256 ref) external nonReentrant {
        _distribute(amount, source, ref);
    }

    /// @inheritdoc ICapacityShare
    function distributeWithPermit(uint256 amount, RevenueSource source, uint256 ref, Permit calldata permit_)
        external
        nonReentrant
    {
        if (permit_.deadline != 0) {
            (address token,,) = _cloneArgs();
            // A failing permit is ignored: if the allowance is missing, the transfer fails.
            try IERC20Permit(token).permit(
                msg.sender, address(this), permit_.value, permit_.deadline, permit_.v, permit_.r, permit_.s
            ) {} catch {}
        }
        _distribute(amount, source, ref);
    }

    /// @inheritdoc ICapacityShare
    function claim(address to) external nonReentrant returns (uint256 amount) {
        if (REGISTRY.isFrozen(msg.sender)) revert CapacityShare_AccountFrozen(msg.sender);
        if (to == address(0)) revert CapacityShare_ZeroAddress();
        if (to == address(this)) revert CapacityShare_SelfTransfer(to);
        return _claim(msg.sender, to);
    }

    /// @inheritdoc ICapacityShare
    function claimFor(address account) external nonReentrant returns (uint256 amount) {
        uint16 flags = REGISTRY.identityOf(account).flags;
        if (flags & FLAG_FROZEN != 0) revert CapacityShare_AccountFrozen(account);
        if (flags & FLAG_CUSTODIAN != 0) revert CapacityShare_Custodian(account);
        return _claim(account, account);
    }

    // --------------------------------------------------------------- ERC-7943

    /// @inheritdoc IERC7943Fungible
    /// @dev To an account of the same party (a lost wallet replaced) all that `from` had accrued goes along; an `amount` of 0
    /// moves that alone. Otherwise `from` keeps what it has earned.
    function forcedTransfer(address from, address to, uint256 amount) external returns (bool result) {
        _checkEnforcer();
        if (from == address(0)) revert CapacityShare_ZeroAddress();
        if (from == to) revert CapacityShare_SelfTransfer(from);
        if (REGISTRY.isCustodian(from)) revert CapacityShare_Custodian(from);
        if (!REGISTRY.canReceive(to)) revert ERC7943CannotReceive(to);
        uint256 balance = balanceOf(from);
        if (amount > balance) revert ERC20InsufficientBalance(from, balance, amount);

        uint256 frozen = _frozen[from];
        if (frozen > balance - amount) _setFrozen(from, balance - amount);
        _move(from, to, amount, false);
        if (REGISTRY.sameParty(from, to)) _moveAccrued(from, to);
        emit ForcedTransfer(from, to, amount);
        return true;
    }

    /// @inheritdoc IERC7943Fungible
    /// @dev `amount` may exceed the balance: what arrives later is then frozen too. A custodian's can only be released.
    function setFrozenTokens(address account, uint256 amount) external returns (bool result) {
        _checkEnforcer();
        if (account == address(0)) revert CapacityShare_ZeroAddress();
        if (amount != 0 && REGISTRY.isCustodian(account)) revert CapacityShare_Custodian(account);
        _setFrozen(account, amount);
        return true;
    }

    /// @inheritdoc IERC7943Fungible
    function canSend(address account) external view returns (bool allowed) {
        return !REGISTRY.isFrozen(account);
    }

    /// @inheritdoc IERC7943Fungible
    function canReceive(address account) external view returns (bool allowed) {
        return REGISTRY.canReceive(account);
    }

    /// @inheritdoc IERC7943Fungible
    function getFrozenTokens(address account) external view returns (uint256 amount) {
        return _frozen[account];
    }

    /// @inheritdoc IERC7943Fungible
    function canTransfer(address from, address to, uint256 amount) external view returns (bool allowed) {
        (bool fromOk, bool toOk) = REGISTRY.canTransfer(from, to);
        return fromOk && toOk && amount <= _unfrozen(from);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc ICapacityShare
    function claimableDown(address account) external view returns (uint256) {
        return _accruedOf(_settledDown(_accounts[account], balanceOf(account), _indexDown()));
    }

    /// @inheritdoc ICapacityShare
    function siteId() external view returns (uint256 id) {
        (,, id) = _cloneArgs();
    }

    /// @inheritdoc ICapacityShare
    function settlementToken() external view returns (address token) {
        (token,,) = _cloneArgs();
    }

    /// @inheritdoc ICapacityShare
    function leaseBook() external view returns (address) {
        return LEASE_BOOK;
    }

    /// @inheritdoc ICapacityShare
    function stream()
        external
        view
        returns (uint128 index, uint128 indexEnd, uint40 streamStart, uint40 streamEnd)
    {
        return (_stream.index, _stream.indexEnd, _stream.start, _stream.end);
    }

    /// @inheritdoc ICapacityShare
    function currentIndex() external view returns (uint128) {
        return uint128(_indexDown());
    }

    /// @inheritdoc ICapacityShare
    function accountOf(address account) external view returns (uint128 paidIndex, uint120 accrued, bool hasFrozen) {
        uint256 word = _accounts[account].word;
        return (uint128(word), uint120(_accruedOf(word)), word & HAS_FROZEN != 0);
    }

    /// @inheritdoc ICapacityShare
    function totalOwed(address token) external view returns (uint256) {
        (address settlement,,) = _cloneArgs();
        return token == settlement ? _stream.owed : 0;
    }

    /// @notice Name given at issue. Permits are signed for the EIP-712 name `Drakewell CapacityShare` (`eip712Domain`).
    function name() public view override returns (string memory) {
        return _shareName;
    }

    function symbol() public view override returns (string memory) {
        return _shareSymbol;
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == type(IERC165).interfaceId || interfaceId == type(IERC20).interfaceId
            || interfaceId == type(IERC20Permit).interfaceId || interfaceId == type(IERC7943Fungible).interfaceId;
    }

    // -------------------------------------------------------------- transfers

    /// @dev Every way in which shares move by their holder's will, and the mint at issue.
    function _update(address from, address to, uint256 amount) internal override {
        if (from == address(0)) {
            if (!REGISTRY.canReceive(to)) revert ERC7943CannotReceive(to);
            super._update(from, to, amount);
            return;
        }
        (bool fromOk, bool toOk) = REGISTRY.canTransfer(from, to);
        if (!fromOk) revert ERC7943CannotSend(from);
        if (!toOk) revert ERC7943CannotReceive(to);
        _move(from, to, amount, true);
    }

    /// @dev Settles both sides, so that each keeps what it earned before, then moves the shares.
    /// @param keepFrozen Whether the frozen part of `from` must stay.
    function _move(address from, address to, uint256 amount, bool keepFrozen) private {
        uint256 index = _indexDown();
        Account storage a = _accounts[from];
        uint256 balance = balanceOf(from);
        uint256 word = _settledDown(a, balance, index);
        if (keepFrozen && word & HAS_FROZEN != 0) {
            uint256 unfrozen = _unfrozen(from);
            if (amount > unfrozen && amount <= balance) {
                revert ERC7943InsufficientUnfrozenBalance(from, amount, unfrozen);
            }
        }
        a.word = word;
        a = _accounts[to];
        a.word = _settledDown(a, balanceOf(to), index);
        super._update(from, to, amount);
    }

    function _moveAccrued(address from, address to) private {
        uint256 moved = _accounts[from].word & ACCRUED_MASK;
        if (moved == 0) return;
        _accounts[from].word -= moved;
        _accounts[to].word += moved;
        emit ClaimableMoved(from, to, moved >> ACCRUED_SHIFT);
    }

    function _setFrozen(address account, uint256 amount) private {
        _frozen[account] = amount;
        Account storage a = _accounts[account];
        a.word = amount == 0 ? a.word & ~HAS_FROZEN : a.word | HAS_FROZEN;
        emit Frozen(account, amount);
    }

    function _unfrozen(address account) private view returns (uint256) {
        uint256 balance = balanceOf(account);
        uint256 frozen = _frozen[account];
        return balance > frozen ? balance - frozen : 0;
    }

    function _checkEnforcer() private view {
        (bool immediate,) = MANAGER.canCall(msg.sender, LEASE_BOOK, msg.sig);
        if (!immediate) revert CapacityShare_NotAuthorised(msg.sender);
    }

    // ------------------------------------------------------------------ money

    function _distribute(uint256 amount, RevenueSource source, uint256 ref) private {
        if (source == RevenueSource.Lease && msg.sender != LEASE_BOOK) revert CapacityShare_OnlyLeaseBook(msg.sender);
        (address token, uint256 supply,) = _cloneArgs();
        (uint256 index, uint256 start, uint256 end) = (_stream.index, _stream.start, _stream.end);
        (uint256 indexEnd, uint256 owed) = (_stream.indexEnd, _stream.owed);
        uint256 max = _maxAmountDown(indexEnd, supply);
        if (amount == 0 || amount > max) revert CapacityShare_AmountOutOfBounds(amount, max);

        // `max` keeps both sums within their slots.
        unchecked {
            uint256 added = amount * INDEX_SCALE / supply;
            index = _lineDown(index, indexEnd, start, end);
            end = _mergedEndDown(end, indexEnd - index, added);
            indexEnd += added;
            owed += amount;
        }
        _stream = Stream({
            index: uint128(index),
            start: uint40(block.timestamp),
            end: uint40(end),
            indexEnd: uint128(indexEnd),
            owed: uint128(owed)
        });
        emit Distributed(
            msg.sender,
            source,
            ref,
            amount,
            uint128(index),
            uint128(indexEnd),
            uint40(block.timestamp),
            uint40(end),
            owed
        );

        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received != amount) revert CapacityShare_TransferFee(received, amount);
    }

    function _claim(address account, address to) private returns (uint256 amount) {
        Account storage a = _accounts[account];
        uint256 word = _settledDown(a, balanceOf(account), _indexDown());
        amount = _accruedOf(word);
        if (amount == 0) revert CapacityShare_NothingClaimable(account);

        a.word = word & ~ACCRUED_MASK;
        uint256 owed = _stream.owed - amount;
        _stream.owed = uint128(owed);
        emit Claimed(account, to, amount, owed);

        (address token,,) = _cloneArgs();
        IERC20(token).safeTransfer(to, amount);
    }

    function _indexDown() private view returns (uint256) {
        return _lineDown(_stream.index, _stream.indexEnd, _stream.start, _stream.end);
    }

    /// @dev Index at this block's time on a line from `index` at `start` to `indexEnd` at `end`, rounded down.
    function _lineDown(uint256 index, uint256 indexEnd, uint256 start, uint256 end) private view returns (uint256) {
        if (block.timestamp >= end) return indexEnd;
        // Here start <= now < end and index <= indexEnd < 2^128.
        unchecked {
            return index + (indexEnd - index) * (block.timestamp - start) / (end - start);
        }
    }

    /// @dev Mean of the old end and a day from now, weighted by what is `left` of the index and what is `added`; never before
    /// the old end, because that is at most a day away.
    function _mergedEndDown(uint256 end, uint256 left, uint256 added) private view returns (uint256) {
        // With anything left, the old end lies ahead; 128 and 40 bits cannot overflow.
        unchecked {
            uint256 leftTime = left == 0 ? 0 : end - block.timestamp;
            return block.timestamp + (left * leftTime + added * STREAM_DURATION) / (left + added);
        }
    }

    /// @dev Most base units that the index has room for: at most 3.4e32 in a clone's life, so that `owed` and what an
    /// account accrues stay below 2^109.
    function _maxAmountDown(uint256 indexEnd, uint256 supply) private pure returns (uint256) {
        unchecked {
            return (type(uint128).max - indexEnd) * supply / INDEX_SCALE;
        }
    }

    /// @dev `a`'s word settled to `index`, what it earned on `balance` rounded down; not written.
    function _settledDown(Account storage a, uint256 balance, uint256 index) private view returns (uint256 word) {
        word = a.word;
        // A balance is at most 1e30, an index below 2^128; all that is accrued is at most `owed`, below 2^109.
        unchecked {
            uint256 rise = index - uint128(word);
            word += (balance * rise / INDEX_SCALE << ACCRUED_SHIFT) + rise;
        }
    }

    function _accruedOf(uint256 word) private pure returns (uint256) {
        return (word & ACCRUED_MASK) >> ACCRUED_SHIFT;
    }

    /// @dev What LeaseBook gave the clone for good; from its own code, as `Clones.fetchCloneArgs` without a copy.
    function _cloneArgs() private view returns (address token, uint256 supply, uint256 id) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            extcodecopy(address(), free, ARGS_OFFSET, 0x60)
            token := mload(free)
            supply := mload(add(free, 0x20))
            id := mload(add(free, 0x40))
        }
    }
}
