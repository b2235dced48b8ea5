package cache_test

// crashDir is set for the process that is killed again and again.
const crashDir = "CACHE_TEST_CRASH"

func crashChild() {}
