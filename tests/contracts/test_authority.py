from brownie import accounts


def test_the_first_admin_is_whom_the_constructor_names(Authority):
    authority = Authority.deploy(accounts[1], {"from": accounts[0]})
    admin = authority.ADMIN_ROLE()
    assert admin == 0
    # Brownie's own tuples of results raise when compared with plain tuples that hold integers.
    assert authority.hasRole(admin, accounts[1])["isMember"]
    assert not authority.hasRole(admin, accounts[0])["isMember"]
