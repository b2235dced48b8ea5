// Command stuck takes the place of a program in updates that tests expect to be rolled back. As a process of the appliance
// it runs and never gets ready; as init it ends at once, which the kernel answers with a panic.
package main

import (
	"os"
	"os/signal"
)

func main() {
	if os.Getpid() == 1 {
		os.Exit(1)
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt)
	<-c
}
