"""What a warehouse or ERP that has the say over locations of ours does to the ledger, and what it is asked to ship."""
