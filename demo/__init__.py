"""Small synthetic releases in the real layouts, for trying the tool and testing it."""
