"""Any corpus in; clean, deduplicated, decontaminated examples with a manifest out."""
