"""Sites: rows as shown, and what may be done with them."""

from backend.chain.contracts import Contracts
from backend.kit.database import Row
from backend.kit.types import checksummed
from backend.mirror.assets import Assets
from backend.mirror.view import View
from backend.plans.service import Intent, Pull
from backend.sites.schemas import OfferSite, PostBond, RegisterSite, WithdrawBond


def shown(row: Row, assets: Assets) -> Row:
    """Return a site as the API shows it."""
    return {**row, "asset": assets.of(row["token"]), "free_bond": row["bond"] - row["locked_bond"]}


def site(view: View, site_id: int) -> Row:
    """Return a site's row at the view's block."""
    return view.need("site", "site", site_id=site_id)


def register(contracts: Contracts, body: RegisterSite) -> Intent:
    """Plan a new site."""
    call = contracts.book(
        "registerSite",
        token=checksummed(body.token),
        gpus=str(body.gpus),
        region=word(body.region),
        name=body.name,
    )
    return Intent("register_site", f"Register the site {body.name}", body.account, call)


def offer(contracts: Contracts, site_id: int, body: OfferSite) -> Intent:
    """Plan the first step of a hand-over."""
    call = contracts.book("offerSite", siteId=str(site_id), newOwner=checksummed(body.new_owner))
    return Intent("offer_site", f"Offer site {site_id} to {call.args['newOwner']}", body.account, call)


def accept(contracts: Contracts, site_id: int, account: str) -> Intent:
    """Plan the second step of a hand-over."""
    call = contracts.book("acceptSite", siteId=str(site_id))
    return Intent("accept_site", f"Accept site {site_id}", account, call)


def post_bond(contracts: Contracts, site_id: int, body: PostBond) -> Intent:
    """Plan a stake."""
    token = contracts.site(site_id)["token"]
    call = contracts.book("postBond", siteId=str(site_id), amount=str(body.amount))
    pull = Pull(token, body.amount, "postBondWithPermit", body.approval)
    return Intent("post_bond", f"Post a bond of {body.amount} on site {site_id}", body.account, call, pull)


def withdraw_bond(contracts: Contracts, site_id: int, body: WithdrawBond) -> Intent:
    """Plan taking free bond back."""
    to = checksummed(body.to or body.account)
    call = contracts.book("withdrawBond", siteId=str(site_id), amount=str(body.amount), to=to)
    return Intent("withdraw_bond", f"Withdraw {body.amount} of the bond of site {site_id}", body.account, call)


def word(name: str) -> str:
    """Return a short ASCII name as the bytes32 that holds it, left-aligned."""
    return "0x" + name.encode("ascii").ljust(32, b"\0").hex()
