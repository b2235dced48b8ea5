# Fetching Debian's packages by the hashes in sources.lock. Sourced by build.sh.
#
# PORTHOLE_DEBIAN and PORTHOLE_DEBIAN_SECURITY name other mirrors, for example
# https://snapshot.debian.org/archive/debian/20261101T000000Z for a version that Debian has replaced since.

debian=${PORTHOLE_DEBIAN:-http://deb.debian.org/debian}
security=${PORTHOLE_DEBIAN_SECURITY:-http://deb.debian.org/debian-security}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# What is built in, and the C library it is linked with (Debian's cross package of it gets no security updates).
source_packages=(ffmpeg libvpx opus)
binary_packages=(libc6-dev:amd64 libc6-dev:arm64)

# private_apt FOLDER prepares lists and folders that belong to this build alone.
private_apt() {
	local dir=$1 suite
	[ -r "$keyring" ] || die "$keyring is missing: install the package debian-archive-keyring."
	mkdir -p "$dir"/{lists/partial,archives/partial,files}
	: >"$dir/status"
	: >"$dir/sources.list"
	for suite in "$debian bookworm" "$security bookworm-security"; do
		# What a mirror serves is checked against sources.lock, so an old snapshot is as good as today's list.
		printf 'deb-src [signed-by=%s check-valid-until=no] %s main\n' "$keyring" "$suite" >>"$dir/sources.list"
		printf 'deb [arch=amd64,arm64 signed-by=%s check-valid-until=no] %s main\n' "$keyring" "$suite" >>"$dir/sources.list"
	done
	apt=(-qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o APT::Architectures::=amd64
		-o APT::Sandbox::User=root -o Acquire::Languages=none
		-o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$dir/lists"
		-o "Dir::State::status=$dir/status" -o "Dir::Cache=$dir" -o "Dir::Cache::archives=$dir/archives")
}

# locked_packages prints "kind package version" for each package of sources.lock.
locked_packages() { awk '$1 == "source" || $1 == "binary"' "$here/sources.lock"; }

# locked_files prints "sha256 name" for each file of sources.lock.
locked_files() { awk 'length($1) == 64 && NF == 2' "$here/sources.lock"; }

# have_sources says whether every file is in the cache with the right hash.
have_sources() {
	[ -d "$cache/sources" ] || return 1
	(cd "$cache/sources" && locked_files | awk '{ print $1 "  " $2 }' | sha256sum --check --strict --status 2>/dev/null)
}

# download_locked FOLDER gets the locked versions into the folder. It runs under progress, so it is a command of its own.
download_locked() {
	local dir=$1 kind pkg version
	private_apt "$dir"
	apt-get "${apt[@]}" update
	cd "$dir/files"
	while read -r kind pkg version; do
		echo "fetching $pkg $version"
		case $kind in
		source) apt-get "${apt[@]}" source --download-only "$pkg=$version" ;;
		binary) apt-get "${apt[@]}" download "$pkg=$version" ;;
		esac || return 3
	done < <(locked_packages)
}

# fetch_sources fills $cache/sources, or fails with what to do.
fetch_sources() {
	local dir sum name got
	have_sources && return
	dir=$(mktemp -d "$cache/fetch.XXXXXX")
	export here cache debian security keyring
	export -f die private_apt locked_packages download_locked
	if ! "$progress" "fetching the decoder's sources from $debian" bash -euo pipefail -c 'download_locked "$1"' - "$dir"; then
		rm -rf "$dir"
		die "the sources could not be fetched from $debian and $security.
If they are out of reach, check the network, or name mirrors in PORTHOLE_DEBIAN and PORTHOLE_DEBIAN_SECURITY.
If a version of overlays/decoder/sources.lock is gone, Debian has a newer one (most likely a security fix): run
    overlays/decoder/build.sh --update-sources
look at the difference, run the tests of media/decode and commit it. To build the old version all the same, set
PORTHOLE_DEBIAN=https://snapshot.debian.org/archive/debian/DATE and PORTHOLE_DEBIAN_SECURITY likewise."
	fi
	while read -r sum name; do
		got=$(sha256sum "$dir/files/$name" 2>/dev/null | cut -d' ' -f1) || true
		if [ "$got" != "$sum" ]; then
			rm -rf "$dir"
			die "$name is not what overlays/decoder/sources.lock says:
  expected SHA-256 $sum
  got              ${got:-no such file}
Nothing was built. A mirror that changes a file under the same name is broken or hostile: try another one
(PORTHOLE_DEBIAN, PORTHOLE_DEBIAN_SECURITY). Only if you have checked the new file and trust it, take it over with
    overlays/decoder/build.sh --update-sources"
		fi
	done < <(locked_files)
	mkdir -p "$cache/sources"
	while read -r sum name; do
		mv "$dir/files/$name" "$cache/sources/$name"
	done < <(locked_files)
	rm -rf "$dir"
}

# list_newest FOLDER prints a new sources.lock for what the mirrors have now.
list_newest() {
	local dir=$1 pkg version
	private_apt "$dir"
	apt-get "${apt[@]}" update >&2
	cd "$dir/files"
	printf '# What the decoder is built from. Written by build.sh --update-sources; look at every change before committing it.\n'
	for pkg in "${source_packages[@]}"; do
		apt-get "${apt[@]}" source --download-only --only-source "$pkg" >&2
		version=$(sed -n 's/^Version: //p' "${pkg}"_*.dsc | head -n1)
		printf '\nsource %s %s\n' "$pkg" "$version"
		find . -type f -printf '%P\n' | sort | xargs sha256sum | awk '{ print $1, $2 }'
		mkdir -p ../done && mv -- * ../done/
	done
	for pkg in "${binary_packages[@]}"; do
		apt-get "${apt[@]}" download "$pkg" >&2
		version=$(dpkg-deb -f ./*.deb Version)
		printf '\nbinary %s %s\n' "$pkg" "$version"
		sha256sum ./*.deb | awk '{ sub("^\\./", "", $2); print $1, $2 }'
		mv -- * ../done/
	done
}

# update_sources replaces sources.lock and shows what changed.
update_sources() {
	mkdir -p "$cache"
	dir=$(mktemp -d "$cache/fetch.XXXXXX")
	trap 'rm -rf "$dir"' EXIT
	list_newest "$dir" >"$dir/sources.lock"
	diff -u "$here/sources.lock" "$dir/sources.lock" || true
	cp "$dir/sources.lock" "$here/sources.lock"
}
