//! Machinery shared by the preload libraries: hook table, resolver, fork, logging.
