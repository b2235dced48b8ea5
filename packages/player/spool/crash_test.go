package spool_test

// crashDir is set for the process that is killed again and again.
const crashDir = "SPOOL_TEST_CRASH"

func crashChild() {}
