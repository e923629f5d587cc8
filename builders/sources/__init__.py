"""Raw releases on disk to listed rows: layouts, readers, and the pictures behind an address."""
