# Shared by contrib/quickstart and contrib/check: where things are, what to install, how to build.
# Sourced by bash with $here set to the top of the checkout.

jobs=$(nproc)

say() { printf '\n== %s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Install the packages of the given kinds ("build", "test") that are not there yet.
install_packages() {
	local kind name missing=()
	while read -r kind name; do
		case " $* " in
		*" $kind "*) dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q '^install ok installed' ||
			missing+=("$name") ;;
		esac
	done < <(grep -v '^#' "$here/contrib/packages")
	[ ${#missing[@]} -eq 0 ] && return 0
	command -v apt-get >/dev/null || die "this is no Debian; install by hand: ${missing[*]}"
	[ "$(id -u)" -eq 0 ] || die "packages are missing; run it once with sudo, or: apt-get install ${missing[*]}"
	say "installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# build FOLDER CONFIGURE-ARGUMENTS...: configure once, then make (all programs and the unit tests).
build() {
	local folder=$1
	shift
	[ -x "$here/configure" ] || "$here/autogen.sh" >/dev/null 2>&1 || die "autogen.sh failed; run it by hand to see why"
	mkdir -p "$folder"
	if [ ! -f "$folder/config.status" ]; then
		(cd "$folder" && "$here/configure" --quiet "$@") || die "configure failed"
	fi
	make -C "$folder" -s -j"$jobs" all >"$folder/build.log" 2>&1 || {
		grep -E 'error|Error|undefined' "$folder/build.log" >&2 || tail -n 20 "$folder/build.log" >&2
		die "the build failed; see $folder/build.log"
	}
}
