// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

/// @dev What a settlement token must never be; only tests deploy these.
abstract contract OddToken {
    mapping(address account => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address, uint256) external pure returns (bool) {
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        _move(from, to, amount);
        return true;
    }

    function _move(address from, address to, uint256 amount) internal virtual;
}

/// @dev Keeps a hundredth of each transfer.
contract FeeToken is OddToken {
    function _move(address from, address to, uint256 amount) internal override {
        balanceOf[from] -= amount;
        balanceOf[to] += amount - amount / 100;
    }
}

/// @dev Calls a contract back in the middle of a transfer.
contract CallingToken is OddToken {
    address private _target;
    bytes private _data;

    function callBack(address target, bytes calldata data) external {
        _target = target;
        _data = data;
    }

    function _move(address from, address to, uint256 amount) internal override {
        if (_target != address(0)) {
            (bool ok, bytes memory reason) = _target.call(_data);
            if (!ok) {
                assembly ("memory-safe") {
                    revert(add(reason, 0x20), mload(reason))
                }
            }
        }
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}
