package trial

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// Network is what the kernel knows of the way out of the house.
type Network interface {
	// Gateways are the routers of the default routes, with a zone where an address needs one.
	Gateways() ([]netip.Addr, error)
	// Knock has the kernel look for a neighbour, and Found says whether it has found it.
	Knock(netip.Addr) error
	Found(netip.Addr) (bool, error)
}

// lookAgain is how often the kernel is asked whether a router was found.
const lookAgain = 100 * time.Millisecond

// gateway looks whether a router answers.
func (t *Trial) gateway(ctx context.Context) (string, error) {
	list, err := t.cfg.Network.Gateways()
	if err != nil {
		return "", failf("It cannot be told whether the network works: %v.", err)
	}
	if len(list) == 0 {
		return "", failf("The network has no way out: there is no router.")
	}
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for _, a := range list {
		if err := t.cfg.Network.Knock(a); err != nil {
			t.cfg.Log.Debug("a router cannot be asked", "router", a, "err", err)
		}
	}
	for {
		for _, a := range list {
			if ok, err := t.cfg.Network.Found(a); err == nil && ok {
				return fmt.Sprintf("The router %s answers.", a.WithZone("")), nil
			}
		}
		select {
		case <-ctx.Done():
			return "", failf("The router %s does not answer.", list[0].WithZone(""))
		case <-tick.C:
		}
	}
}
