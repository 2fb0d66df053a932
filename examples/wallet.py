"""Lease four GPUs for a day, change your mind, and get back what was not used."""

import os

from eth_account import Account

from drakewell import Client

HOUR = 3600

account = Account.from_key(os.environ["WALLET_KEY"])  # stays here: the API plans, this process checks and signs
client = Client(os.environ["DRAKEWELL_API"], account, os.environ["DRAKEWELL_DEPLOYMENT"])

listing = client.listings(available_gpus_gte=4, sla_gte=9_900, sort="price")[0]
quote = client.quote(listing["listing_id"], gpus=4, term=24 * HOUR)
print(f"{listing['site_name']}: 4 x {listing['terms']['model']} at {quote['price']} base units per GPU-hour")

opened = client.open_lease(listing["listing_id"], gpus=4, term=24 * HOUR, max_price=quote["price"]).wait()
lease_id = opened["resource"]["id"]
lease = client.lease(lease_id)
print(f"lease {lease_id}: {lease['deposited']} base units in escrow until {lease['end']}")

client.close(lease_id).wait()
lease = client.lease(lease_id)
print(f"notice given: it ends at {lease['end']}, {lease['collectable']} base units are not needed any more")

client.collect(lease_id).wait()
(paid,) = client.payouts(kind="collect", subject=f"lease/{lease_id}")
print(f"refunded {paid['amount']} of {lease['deposited']}")
