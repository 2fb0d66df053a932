"""What the meters attested."""
