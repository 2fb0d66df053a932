from brownie import accounts


def test_the_first_admin_is_whom_the_constructor_names(Authority):
    authority = Authority.deploy(accounts[1], {"from": accounts[0]})
    assert authority.hasRole(authority.ADMIN_ROLE(), accounts[1]) == (True, 0)
    assert authority.hasRole(authority.ADMIN_ROLE(), accounts[0]) == (False, 0)
