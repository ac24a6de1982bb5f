"""What tests share: stand-ins, phantoms, servers, terminals and browsers."""
