# The first process of a machine.
#
#   machine.sh NAME HOME PROGRAMS
#
# HOME holds the machine's disk; PROGRAMS is the folder of kubelet and its like.
# All mounts are made in the machine's own mount namespace and end with it.
set -eu
name=$1 home=$2 programs=$3
root=$home/root disk=$home/disk

# The host's file system shows through; what is written stays on the disk.
mkdir -p "$root" "$disk/upper" "$disk/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$disk/upper,workdir=$disk/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --make-rslave "$root/dev"
mount -t sysfs sysfs "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mkdir -p "$root/run/lock" "$root/run/netns"

# Folders of which nothing of the host's may show. They are no overlay: container
# runtimes put overlays of their own on top, and kubelet asks how full they are.
for folder in var/lib/containerd var/lib/kubelet var/lib/cni var/lib/fairlead var/log/pods var/log/containers \
	etc/cni/net.d etc/containerd etc/kubernetes opt/cni/bin; do
	mkdir -p "$disk/$folder" "$root/$folder"
	mount --bind "$disk/$folder" "$root/$folder"
done
mkdir -p "$root/opt/programs"
mount --bind "$programs" "$root/opt/programs"

echo "$name" >"$root/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
rm -f "$root/etc/resolv.conf" && : >"$root/etc/resolv.conf"
[ -s "$disk/machine-id" ] || tr -d - </proc/sys/kernel/random/uuid >"$disk/machine-id"
rm -f "$root/etc/machine-id" && cp "$disk/machine-id" "$root/etc/machine-id"

mkdir -p "$root/.host"
cd "$root"
pivot_root . .host
umount -l /.host
# As on a real machine: kubelet's mounts are to show up in containers.
mount --make-rshared /
hostname "$name"
: >/run/furnished
# A shell reaps the orphans that it gets while it waits.
while :; do sleep 1000000; done
