"""From a case's grid to the network's and back, tested as a pair."""
