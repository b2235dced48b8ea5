package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"porthole/packages/system/authority"
	"porthole/packages/system/health"
	"porthole/packages/system/intake"
	"porthole/packages/system/pairs"
)

// problem is something the owner should know, until it is mended.
type problem struct {
	// Area is "storage", "certificate", "processes", "processor", "update", "boot" (the boot partition) or "porthole.toml" (a line of
	// it, which console knows from the provisioning).
	Area string `json:"area"`
	// Text is a sentence or two: what is wrong and what to do.
	Text string `json:"text"`
}

// problems gathers them.
type problems struct {
	// permFile is init's word on /perm (gokrazy-instance/init/perm, Status); there is none under hostrun.
	permFile string
	device   *authority.Device
	pairs    *pairs.Store
	intake   *intake.Intake
	// heart says what has stopped working; nil under hostrun.
	heart     interface{ Problem() string }
	processor *health.Watch
	updates   interface{ Problem() string }
}

func (p *problems) list() []problem {
	list := []problem{}
	add := func(area, text string) {
		if text != "" {
			list = append(list, problem{area, text})
		}
	}
	storage, err := storageProblem(p.permFile)
	if err != nil {
		storage = fmt.Sprintf("It is not known whether the storage is in order: %v.", err)
	}
	add("storage", storage)
	add("certificate", p.device.Public().Problem)
	for _, text := range p.pairs.Problems(time.Now()) {
		add("certificate", text)
	}
	for _, text := range p.processor.Problems(time.Now()) {
		add("processor", text)
	}
	lines, trouble := p.intake.Problems()
	for _, text := range trouble {
		add("boot", text)
	}
	for _, text := range lines {
		add("porthole.toml", text)
	}
	add("update", p.updates.Problem())
	if p.heart != nil {
		add("processes", p.heart.Problem())
	}
	return list
}

// maxPermFile bounds what is read of init's word, in bytes.
const maxPermFile = 64 << 10

func storageProblem(file string) (string, error) {
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read storage status: %w", err)
	}
	defer f.Close()
	var status struct{ Problem string }
	if err := json.NewDecoder(io.LimitReader(f, maxPermFile)).Decode(&status); err != nil {
		return "", fmt.Errorf("read storage status %s: %w", file, err)
	}
	return status.Problem, nil
}

func (p *problems) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{"problems": p.list()})
}
