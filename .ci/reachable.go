//go:build ignore

// Reachable exits 0 when an https address answers 200 within ten seconds.
package main

import (
	"net/http"
	"os"
	"time"
)

func main() {
	c := http.Client{Timeout: 10 * time.Second}
	res, err := c.Head(os.Args[1])
	if err != nil || res.StatusCode != http.StatusOK {
		os.Exit(1)
	}
}
