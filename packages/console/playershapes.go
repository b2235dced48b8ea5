package main

import "time"

// The shapes of docs/architecture.md: player's GET /status and system's GET /hardware, as far as the pages show them.
type (
	playerStatus struct {
		Display struct {
			Kind      string   `json:"kind"`
			Connector string   `json:"connector"`
			Connected bool     `json:"connected"`
			Width     int      `json:"width"`
			Height    int      `json:"height"`
			Mode      string   `json:"mode"`
			Modes     []string `json:"modes"`
			Monitor   string   `json:"monitor"`
			Note      string   `json:"note"`
			Problem   string   `json:"problem"`
		} `json:"display"`
		Presented uint64          `json:"presented"`
		Dropped   uint64          `json:"dropped"`
		Problems  []string        `json:"problems"`
		Playback  playbackStatus  `json:"playback"`
		Link      linkStatus      `json:"link"`
		Cache     cacheStatus     `json:"cache"`
		Clock     clockStatus     `json:"clock"`
		Trust     []trustDecision `json:"trust"`
		Power     *powerStatus    `json:"power"`
	}
	playbackStatus struct {
		Playing      bool          `json:"playing"`
		PlaylistName string        `json:"playlist_name"`
		Version      int64         `json:"version"`
		Rule         int64         `json:"rule"`
		Interrupt    int64         `json:"interrupt"`
		Until        time.Time     `json:"until"`
		Item         *itemStatus   `json:"item"`
		Next         *itemStatus   `json:"next"`
		Skipped      []skippedItem `json:"skipped"`
		Gaps         struct {
			Changes uint64 `json:"changes"`
			Late    uint64 `json:"late"`
			Max     uint64 `json:"max"`
		} `json:"gaps"`
		Restarts    int    `json:"restarts"`
		LastRestart string `json:"last_restart"`
	}
	itemStatus struct {
		Kind      string    `json:"kind"`
		Name      string    `json:"name"`
		Since     time.Time `json:"since"`
		Presented uint64    `json:"presented"`
		Dropped   uint64    `json:"dropped"`
	}
	skippedItem struct {
		Name   string    `json:"name"`
		Reason string    `json:"reason"`
		Time   time.Time `json:"time"`
	}
	linkStatus struct {
		Kind        string    `json:"kind"`
		Server      string    `json:"server"`
		Connected   bool      `json:"connected"`
		LastContact time.Time `json:"last_contact"`
		Problem     string    `json:"problem"`
		Step        string    `json:"step"`
		Attempts    int       `json:"attempts"`
		Next        time.Time `json:"next"`
		PlayerName  string    `json:"player_name"`
		PairingCode string    `json:"pairing_code"`
		PairingURI  string    `json:"pairing_uri"`
		Fingerprint string    `json:"fingerprint"`
		CA          string    `json:"ca_fingerprint"`
		Trust       string    `json:"trust"`
		Pending     string    `json:"pending"`
		PendingCA   string    `json:"pending_ca_fingerprint"`
		LeftOut     []string  `json:"left_out"`
		Spooled     int       `json:"spooled"`
		Lost        int       `json:"lost"`
	}
	cacheStatus struct {
		Revision     int64         `json:"revision"`
		Coming       int64         `json:"coming"`
		Files        int           `json:"files"`
		Bytes        int64         `json:"bytes"`
		Missing      int           `json:"missing"`
		MissingBytes int64         `json:"missing_bytes"`
		Limit        int64         `json:"limit"`
		Fetching     string        `json:"fetching"`
		Done         int64         `json:"done"`
		Size         int64         `json:"size"`
		Problem      string        `json:"problem"`
		Failed       []skippedItem `json:"failed"`
	}
	clockStatus struct {
		Now    time.Time `json:"now"`
		Source string    `json:"source"`
	}
	trustDecision struct {
		Time        time.Time `json:"time"`
		Server      string    `json:"server"`
		Action      string    `json:"action"`
		Fingerprint string    `json:"fingerprint"`
		Detail      string    `json:"detail"`
	}
	powerStatus struct {
		On   bool      `json:"on"`
		Off  string    `json:"off"`
		Next time.Time `json:"next"`
		Note string    `json:"note"`
	}
	hardwareStatus struct {
		MilliCelsius *int            `json:"temperature_millicelsius"`
		Hottest      *int            `json:"hottest_millicelsius"`
		KHz          int64           `json:"khz"`
		MaxKHz       int64           `json:"max_khz"`
		Governor     string          `json:"governor"`
		Chosen       string          `json:"chosen"`
		Usual        string          `json:"usual"`
		Governors    []string        `json:"governors"`
		Now          *limitsOfDevice `json:"now"`
		SinceStart   *limitsOfDevice `json:"since_start"`
	}
	limitsOfDevice struct {
		UnderVoltage bool `json:"under_voltage"`
		Capped       bool `json:"capped"`
		Throttled    bool `json:"throttled"`
		Hot          bool `json:"hot"`
	}
)
