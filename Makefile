# Porthole. `make` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION   := $(shell .ci/version)
LDFLAGS   := -X porthole/packages/internal/daemon.version=$(VERSION)
PROCESSES := system proxy signaling console player
PROGRESS  := .ci/progress

# Ports of `make run`; on a device they are 443, 80, 8765 and 5001.
HTTPS_PORT ?= 8443
HTTP_PORT  ?= 8080
WSS_PORT   ?= 8765
TEST_PORT  ?= 5001
PROVISION  ?=
STATE      ?= build/run

# The board of `make update` (pi or vm), and the folder of the keys that updates are signed with: outside of build, which
# `make clean` removes.
BOARD ?= pi
KEYS  ?= keys
arch_pi := arm64
arch_vm := amd64

# How long each fuzz target and each benchmark runs.
FUZZTIME  ?= 30s
BENCHTIME ?= 20s

# How long the readers of `make soak` come, go and misbehave, how long a screen plays, and how often it cuts the power: of a
# device under write load and of a screen, and of one that is being updated.
SOAK ?= 10m
PLAY ?= 1h
CUTS ?= 50
UPDATE_CUTS ?= 200

# Debian packages the tests use as real peers.
TEST_DEBS := gcc libc6-dev ffmpeg chromium firefox-esr fonts-dejavu-core openssl gstreamer1.0-tools gstreamer1.0-plugins-base \
             gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav glib-networking \
             util-linux iproute2 nftables python3-requests curl jq libnss3-tools sslscan strace bind9

# Debian packages that images are made and tried with.
IMAGE_DEBS := git gcc libc6-dev make nasm pkgconf dpkg-dev util-linux \
              gcc-aarch64-linux-gnu libc6-dev-arm64-cross squashfs-tools dosfstools mtools e2fsprogs
VM_DEBS    := qemu-system-x86 qemu-system-arm qemu-user ovmf device-tree-compiler zbar-tools tesseract-ocr tesseract-ocr-eng iproute2 python3

.PHONY: help run build keys image vm-image update release built vm flash test test-vm test-quick lint fuzz bench soak clean

help: ## list the targets
	@echo "Porthole $(VERSION)"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## run everything here: console, camera proxy, live view, with a built-in demo camera (PROVISION=file, HTTPS_PORT=, HTTP_PORT=, WSS_PORT=, TEST_PORT=)
	@exec build/bin/hostrun -config gokrazy-instance/pi/config.json -bin build/bin -state "$(STATE)" \
	  -https "$(HTTPS_PORT)" -http "$(HTTP_PORT)" -wss "$(WSS_PORT)" -test "$(TEST_PORT)" $(if $(PROVISION),-provision "$(PROVISION)")

build: ## build the programs into build/bin
	@.ci/setup
	@mkdir -p build/bin
	@$(PROGRESS) "building Porthole $(VERSION)" env CGO_ENABLED=0 go build -v -trimpath -ldflags "$(LDFLAGS)" \
	  -o build/bin/ ./gokrazy-instance/hostrun ./packages/porthole $(PROCESSES:%=./packages/%)

# overlay-arm64 and overlay-amd64 hold what is not built from our Go module: the decoder and its licences.
build/overlay-%: overlays/decoder/build.sh
	@rm -rf $@ && mkdir -p $@/usr/local/bin $@/usr/share/licenses/decoder
	@overlays/decoder/build.sh $* build/decoder-$*
	@cp build/decoder-$*/ffmpeg $@/usr/local/bin/ffmpeg-porthole
	@cp -r build/decoder-$*/LICENSES build/decoder-$*/SOURCE-OFFER.txt $@/usr/share/licenses/decoder/

# A key that is missing is made, with a word on where to keep it.
build/bin/imager: FORCE
	@mkdir -p build/bin && go build -o $@ ./gokrazy-instance/imager
FORCE:

keys: build/bin/imager ## make the keys that updates are signed with (KEYS=folder); ROTATE=1: the next one becomes the current one
	@build/bin/imager keys -dir "$(KEYS)" $(if $(ROTATE),-rotate)

image: ## build build/porthole-pi.img and .img.zst: Raspberry Pi 3, 4, 5, Zero 2 W
	@$(MAKE) --no-print-directory built BOARD=pi VERB=image ZST=-zst

vm-image: ## build build/porthole-vm.img: the same appliance for QEMU (amd64, UEFI)
	@$(MAKE) --no-print-directory built BOARD=vm VERB=image

update: ## build the signed build/porthole-VERSION-BOARD.update and its image (BOARD=pi or vm)
	@$(MAKE) --no-print-directory built VERB=update
	@$(if $(filter pi,$(BOARD)),ln -sf "porthole-$(VERSION)-pi.update" "build/porthole-$(VERSION).update")

release: build/bin/imager ## build images and updates of all boards twice, in two places, compare every byte; build/release gets them, signed
	@.ci/setup $(IMAGE_DEBS)
	@build/bin/imager keys -dir "$(KEYS)" -if-missing
	@.ci/release "$(KEYS)"

built: build/bin/imager
	@.ci/setup $(IMAGE_DEBS)
	@$(MAKE) --no-print-directory build/overlay-$(arch_$(BOARD))
	@build/bin/imager keys -dir "$(KEYS)" -if-missing
	@build/bin/imager $(VERB) -board $(BOARD) -version "$(VERSION)" -keys "$(KEYS)" -overlay build/overlay-$(arch_$(BOARD)) $(ZST)

vm: vm-image ## boot build/porthole-vm.img in QEMU; the console is at https://localhost:$(HTTPS_PORT)
	@.ci/setup $(VM_DEBS)
	@go build -o build/bin/vm ./integration/vm/run
	@exec build/bin/vm -image build/porthole-vm.img -https "$(HTTPS_PORT)" -wss "$(WSS_PORT)"

flash: ## write build/porthole-pi.img to a card: make flash DISK=/dev/sdX (FIXED=1 for a disk that is built in)
	@.ci/setup
	@[ -n "$(DISK)" ] || { echo 'name the card: make flash DISK=/dev/sdX (lsblk lists the disks)' >&2; exit 1; }
	@[ -e build/porthole-pi.img ] || { echo 'there is no build/porthole-pi.img yet: make image' >&2; exit 1; }
	@mkdir -p build/bin && go build -o build/bin/imager ./gokrazy-instance/imager
	@build/bin/imager flash -disk "$(DISK)" $(if $(FIXED),-fixed)

test: ## everything CI tests: all packages with the race detector, real cameras, real browsers, the images in QEMU
	@.ci/setup $(TEST_DEBS) $(IMAGE_DEBS) $(VM_DEBS)
	@$(PROGRESS) "compiling the tests" go test -v -race -run '^$$' -vet=off ./...
	go test -race -timeout 25m $$(go list ./... | grep -v /integration/vm)
	@# The rest is over: QEMU interprets, and would take the processors from those who need them in time.
	@# Two guests at a time, of one processor each, but for those that show a camera: it comes in time or not at all.
	go test -v -short -timeout 60m -parallel 2 -skip '^TestLong' ./integration/vm

test-vm: ## boot the images in QEMU, with the long tests that `make test` leaves out: the watchdog, lost cards, more power cuts
	@.ci/setup $(TEST_DEBS) $(IMAGE_DEBS) $(VM_DEBS)
	go test -v -timeout 120m -parallel 2 ./integration/vm

test-quick: ## the inner loop: no race detector, no browser, no whole-system tests
	@.ci/setup ffmpeg bind9
	go test -timeout 5m $$(go list ./... | grep -v -e /integration -e /bench -e /vmtest)

lint: build/tools/golangci-lint ## gofmt, vet, staticcheck, golangci-lint, tidy, arm64 build, known vulnerabilities
	@.ci/setup
	go mod tidy -diff
	build/tools/golangci-lint run ./...
	@$(PROGRESS) "building for arm64" env CGO_ENABLED=0 GOARCH=arm64 go build -v -o /dev/null ./...
	@if go run .ci/reachable.go https://vuln.go.dev/index/db.json; then build/tools/govulncheck ./...; \
	  else echo "govulncheck: its database is out of reach from here, not checked"; fi

build/tools/golangci-lint: .ci/tools/go.mod .ci/tools/go.sum
	@.ci/setup
	@mkdir -p build/tools
	@$(PROGRESS) "building the linters" go -C .ci/tools build -v -o "$(CURDIR)/build/tools/" tool

fuzz: ## fuzz every parser of outside bytes for FUZZTIME each (TARGETS=REGEXP: only those)
	@.ci/setup
	@.ci/fuzz "$(FUZZTIME)" "$(TARGETS)"

bench: build ## latency, first frame, CPU and memory, beside MEDIAMTX= and GO2RTC= binaries where given; a thousand signage screens; sizes and start of the images in build/; what an update costs
	@.ci/setup ffmpeg chromium python3 qemu-system-x86 ovmf $(IMAGE_DEBS)
	@overlays/decoder/build.sh "$$(go env GOARCH)" "build/decoder-$$(go env GOARCH)"
	BENCHTIME="$(BENCHTIME)" MEDIAMTX="$(MEDIAMTX)" GO2RTC="$(GO2RTC)" go run ./bench -bin build/bin
	BENCHTIME="$(BENCHTIME)" go test -run '^$$' -bench '^Benchmark(Video|Gaps|Fade)' -benchtime 1x ./packages/player/playback
	go test -v -timeout 30m ./integration/vm -run '^TestLongUpdateFigures$$'

soak: build ## readers that come, go, stall and misbehave for SOAK: memory, threads and descriptors of proxy must be flat; a screen that plays for PLAY: its memory too; CUTS power cuts during uploads, edits, renewals and playing, UPDATE_CUTS during an update
	@.ci/setup ffmpeg $(IMAGE_DEBS) $(VM_DEBS)
	@overlays/decoder/build.sh "$$(go env GOARCH)" "build/decoder-$$(go env GOARCH)"
	go run ./bench -bin build/bin -soak "$(SOAK)"
	go run ./bench -bin build/bin -play "$(PLAY)"
	go test -v -timeout 12h -parallel 2 ./integration/vm -run '^(TestStorageSweep|TestPlayer|TestLongUpdateKills)$$' -cuts "$(CUTS)"
	go test -v -timeout 24h -parallel 2 ./integration/vm -run '^TestUpdateSweep$$' -cuts "$(UPDATE_CUTS)"

clean: ## remove what was built and what `make run` stored
	rm -rf build
