"""Alembic's entry: one history for both schemas, its version table in `desk`, which is the schema that is backed up."""

from alembic import context
from sqlalchemy.schema import CreateSchema

from indexer.schema import DESK, metadata

connection = context.config.attributes["connection"]
connection.execute(CreateSchema(DESK, if_not_exists=True))
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table_schema=DESK,
    include_schemas=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
