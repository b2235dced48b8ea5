// Command guest ends a machine's runs in all ways that there are, and says how the last one ended.
package main

import (
	"fmt"
	"os"

	"porthole/hw/hwtest/vm/guest"
	"porthole/hw/power"
	"porthole/hw/resetcause"
)

func main() {
	err := guest.Main(guest.Program{Commands: guest.Commands{
		"cause": cause, "say": say, "crash": crash,
		"restart": func(text string) (string, error) { return "", power.Restart(text) },
	}})
	if err != nil {
		os.Exit(1)
	}
}

func cause(string) (string, error) {
	r, err := resetcause.Machine{}.Read()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s; %s; %q", r.Cause, r.Detail, r.LastWords), nil
}

// say writes to the kernel's log as init does.
func say(line string) (string, error) {
	return "said", os.WriteFile("/dev/kmsg", fmt.Appendf(nil, "<2>porthole: %s\n", line), 0)
}

// crash has the kernel dereference nothing (Documentation/admin-guide/sysrq.rst).
func crash(string) (string, error) {
	return "", os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0)
}
