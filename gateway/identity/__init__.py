"""Identity: which incoming Patient is which resource, by identifiers that the configuration trusts. Pure decisions."""
