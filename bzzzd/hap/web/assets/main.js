// The page's beginning.
