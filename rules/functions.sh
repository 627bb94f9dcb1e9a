# Functions of the shell rules, put before their commands (rules/common.smk). The container has no
# Python: here is what contimg.status, contimg.scratch and contimg.time_limit do for the scripts.

running="" scratch="" part=""

# list DIRECTORY: the digest of its listing, as contimg.status.listing.
list() (
    cd "$1" || exit
    find . -type f ! -name .snakemake_timestamp ! -name '.nfs*' ! -name '.fuse_hidden*' \
        -printf '%s %P\n' |
        sed -E 's,^[0-9]+ ((.*/)?(HISTORY/.*|table\.lock))$,- \1,' |
        LC_ALL=C sort | sha256sum | cut -c -64
)

# require_whole DIRECTORY: end the job if its files are not those that its status lists.
require_whole() {
    local expected found
    expected=$(sed -n -E 's/^ "listing": "([0-9a-f]*)",?$/\1/p' "$1.json")
    found=$(list "$1")
    if [ -n "$expected" ] && [ "$found" != "$expected" ]; then
        echo "$1: not whole: the listing of its files is ${found:0:12}, ${expected:0:12} expected" \
            "by its .json (a run died that was writing or removing it); remove both and run again"
        exit 1
    fi
}

# copy_status STATUS DIRECTORY TARGET [CONTAINER]: copy a status, with the listing of a directory and
# the digest of the container that made it.
copy_status() {
    local listing fields
    listing=$(list "$2")
    fields=" \"listing\": \"$listing\",\n"
    if [ -n "${4:-}" ]; then fields+=" \"container\": \"$4\",\n"; fi
    sed -E -e '/^ "(listing|container)": /d' -e "s|^ \"inputs\": |$fields&|" "$1" >"$3"
}

# make_part DIRECTORY NAME: set `part` to a new hidden folder; what killed runs left there goes.
make_part() {
    mkdir -p "$1"
    rm -rf "$1/.$2".??????.part
    part=$(mktemp -d -p "$1" --suffix .part ".$2.XXXXXX")
    trap clean_up EXIT
    trap 'echo "ended by SIGTERM"; exit 143' TERM
}

# make_scratch TMPDIR PURPOSE KILOBYTES: set `scratch` to a new folder, in $part for lack of space.
# The folder is ours as long as a process holds descriptor 9, which is a lock on its .lock.
make_scratch() {
    local free attempt
    remove_abandoned "$1"
    free=$(df -k --output=avail "$1" | tail -n 1)
    if [ "$free" -lt "$3" ]; then
        echo "$1: $free kB free, $3 kB needed: temporary files go to $part"
        scratch=$(realpath "$part")/temporary
        mkdir "$scratch"
        return
    fi
    for attempt in 1 2 3; do
        scratch=$(mktemp -d -p "$1" "contimg-$HOSTNAME-$2-XXXXXX")
        if exec 9>>"$scratch/.lock" && flock -n 9 && [ "$scratch/.lock" -ef /proc/self/fd/9 ]; then
            return
        fi
        # Another job took it for abandoned just before it was locked, or there are no locks.
        rm -rf "$scratch"
    done
    echo "$1: no file locks; temporary files stay if this job is killed"
    scratch=$(mktemp -d -p "$1" "contimg-$HOSTNAME-$2-XXXXXX")
}

# remove_abandoned TMPDIR: remove the scratch folders whose owners are dead.
remove_abandoned() {
    local folder
    for folder in "$1/contimg-$HOSTNAME"-*; do
        if [ -d "$folder" ] && [ ! -L "$folder" ] && [ -O "$folder" ]; then
            if (flock -n 8 && empty "$folder") 8>>"$folder/.lock"; then rm -rf "$folder" || true; fi
        fi
    done
}

# empty FOLDER: remove what is in it. What a network file system still holds open stays until the
# next job, which removes the folder.
empty() {
    find "$1" -mindepth 1 ! -path "$1/.lock" ! -name '.nfs*' ! -name '.fuse_hidden*' -delete || true
}

clean_up() {
    if [ -n "$running" ]; then
        kill -KILL -- "-$running" "$running" || true
        wait "$running" || true
    fi
    if [ -n "$scratch" ]; then
        empty "$scratch"
        exec 9>&-
        rm -rf "$scratch" || echo "$scratch: left for the next job to remove"
    fi
    if [ -n "$part" ]; then rm -rf "$part"; fi
}

# within MINUTES FOLDER COMMAND...: run a program in a folder, with what it starts in a process group
# of its own, and kill the group 45 s before the rule's runtime ends.
within() {
    local limit=$(($1 * 60 - 45 - SECONDS)) folder=$2 start=$SECONDS code=0
    if [ "$limit" -lt 1 ]; then limit=1; fi
    shift 2
    (cd "$folder" && exec timeout --kill-after=5 "$limit" "$@") &
    running=$!
    wait "$running" || code=$?
    kill -KILL -- "-$running" 2>/dev/null || true
    running=""
    if [ "$code" -ne 0 ] && [ $((SECONDS - start)) -ge "$limit" ]; then
        echo "time limit of $limit s reached: killed $1 and what it had started"
    elif [ "$code" -ne 0 ]; then
        echo "$1 ended with exit code $code"
    fi
    return "$code"
}

# run_wsclean MS NAME CONTAINER TMPDIR MINUTES THREADS ARGUMENTS...: make $part/wsclean-*.fits of a set.
# WSClean 3.2 renamed the option of its w-gridder. It writes its command line into the images: hence
# the links, of which the one to the scratch folder names the container.
run_wsclean() {
    local ms=$1 name=$2 container=$3 tmpdir=$4 minutes=$5 threads=$6 gridder link
    shift 6
    case "$(wsclean -version)" in
        *"version 3.0."* | *"version 3.1."*) gridder=(-use-wgridder) ;;
        *) gridder=(-gridder wgridder) ;;
    esac
    make_scratch "$tmpdir" imaging "$(du -sk "$ms" | cut -f 1)"
    link=${container:+container/$container/}scratch
    mkdir -p "$(dirname "$part/$link")" && ln -s "$scratch" "$part/$link"
    ln -s "$(realpath "$ms")" "$part/$name.ms"
    within "$minutes" "$part" wsclean "$@" "${gridder[@]}" -j "$threads" -temp-dir "$link" \
        -name wsclean "$name.ms"
}
