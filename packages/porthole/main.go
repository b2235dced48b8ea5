// Command porthole is Porthole's tool for the command line.
package main

import (
	"fmt"
	"os"
)

const usage = `usage: porthole import [-check] [-o porthole.toml] FILE…
       porthole update -to HOST [-downgrade] [-no-restart] FILE|URL
       porthole update -to HOST -status

import reads SmartHomeNG's plugin.yaml and item files of an AlexaCamProxy4P3, a .env of the camera platform, and the
app_config.json of a signage player with the certificate that it names, says what became of every line, and writes a
porthole.toml that a device takes over when it starts.

update brings a device another version; porthole update -h says more.
`

func main() {
	os.Exit(run(os.Args[1:]))
}

// run returns the exit code: 0 all is well, 1 it failed, 2 it was called wrongly.
func run(args []string) int {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	switch args[0] {
	case "import":
		return runImport(args[1:], os.Stdout, os.Stderr)
	case "update":
		return runUpdate(args[1:], os.Stdin, os.Stdout, os.Stderr)
	case "help", "-h", "-help", "--help":
		fmt.Fprint(os.Stdout, usage)
		return 0
	}
	fmt.Fprintf(os.Stderr, "porthole: there is no command %q\n%s", args[0], usage)
	return 2
}
