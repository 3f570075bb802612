// runc-clamp stands in for runc on a machine that withholds some capability
// from root (here CAP_SYS_RESOURCE). Before handing over to the real runc it
// edits the OCI process spec of `create`/`run` (bundle/config.json) and of
// `exec` (--process FILE) so that nothing is asked for that the kernel refuses:
//   - capabilities outside the caller's own bounding set are dropped,
//   - rlimits are lowered to the caller's own hard limits,
//   - oomScoreAdj below the caller's own floor of 0 is raised to 0.
//
// On a machine that withholds nothing the capability part is a no-op.
// The real runc is $RUNC_CLAMP_REAL or /usr/sbin/runc.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

var capNames = strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID
SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER
SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE
SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN
SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`)

var rlimits = map[string]int{
	"RLIMIT_CPU": 0, "RLIMIT_FSIZE": 1, "RLIMIT_DATA": 2, "RLIMIT_STACK": 3, "RLIMIT_CORE": 4,
	"RLIMIT_RSS": 5, "RLIMIT_NPROC": 6, "RLIMIT_NOFILE": 7, "RLIMIT_MEMLOCK": 8, "RLIMIT_AS": 9,
	"RLIMIT_LOCKS": 10, "RLIMIT_SIGPENDING": 11, "RLIMIT_MSGQUEUE": 12, "RLIMIT_NICE": 13,
	"RLIMIT_RTPRIO": 14, "RLIMIT_RTTIME": 15,
}

func die(err error) {
	fmt.Fprintln(os.Stderr, "runc-clamp:", err)
	os.Exit(1)
}

func missing() map[string]bool {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		die(err)
	}
	m := map[string]bool{}
	for _, l := range strings.Split(string(b), "\n") {
		if v, ok := strings.CutPrefix(l, "CapBnd:"); ok {
			bits, err := strconv.ParseUint(strings.TrimSpace(v), 16, 64)
			if err != nil {
				die(err)
			}
			for i, n := range capNames {
				if bits&(1<<uint(i)) == 0 {
					m["CAP_"+n] = true
				}
			}
		}
	}
	return m
}

func clampProcess(p map[string]any) {
	gone := missing()
	if caps, ok := p["capabilities"].(map[string]any); ok {
		for set, v := range caps {
			list, _ := v.([]any)
			kept := make([]any, 0, len(list))
			for _, c := range list {
				if s, _ := c.(string); !gone[s] {
					kept = append(kept, c)
				}
			}
			caps[set] = kept
		}
	}
	if v, ok := p["oomScoreAdj"].(json.Number); ok && gone["CAP_SYS_RESOURCE"] {
		if n, err := v.Int64(); err == nil && n < 0 {
			p["oomScoreAdj"] = 0
		}
	}
	if list, ok := p["rlimits"].([]any); ok && gone["CAP_SYS_RESOURCE"] {
		for _, e := range list {
			r, _ := e.(map[string]any)
			t, _ := r["type"].(string)
			id, known := rlimits[t]
			var have syscall.Rlimit
			if !known || syscall.Getrlimit(id, &have) != nil {
				continue
			}
			for _, k := range []string{"hard", "soft"} {
				n, _ := r[k].(json.Number)
				if u, err := strconv.ParseUint(n.String(), 10, 64); err == nil && u > have.Max {
					r[k] = have.Max
				}
			}
		}
	}
}

func edit(path string, f func(map[string]any)) {
	in, err := os.Open(path)
	if err != nil {
		return // let runc report it
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		die(err)
	}
	d := json.NewDecoder(in)
	d.UseNumber() // keep 64-bit numbers exact
	var doc map[string]any
	if err := d.Decode(&doc); err != nil {
		return
	}
	f(doc)
	out, err := json.Marshal(doc)
	if err != nil {
		die(err)
	}
	tmp := path + ".clamp"
	if err := os.WriteFile(tmp, out, st.Mode().Perm()); err != nil {
		die(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		die(err)
	}
}

func flagValue(args []string, names ...string) string {
	for i, a := range args {
		for _, n := range names {
			if a == n && i+1 < len(args) {
				return args[i+1]
			}
			if v, ok := strings.CutPrefix(a, n+"="); ok {
				return v
			}
		}
	}
	return ""
}

func main() {
	args := os.Args[1:]
	for i, a := range args {
		switch a {
		case "create", "run", "restore":
			dir := flagValue(args[i:], "--bundle", "-b", "-bundle")
			if dir == "" {
				dir = "."
			}
			edit(filepath.Join(dir, "config.json"), func(d map[string]any) {
				if p, ok := d["process"].(map[string]any); ok {
					clampProcess(p)
				}
			})
		case "exec":
			if f := flagValue(args[i:], "--process", "-p", "-process"); f != "" {
				edit(f, clampProcess)
			}
		default:
			continue
		}
		break
	}
	real := os.Getenv("RUNC_CLAMP_REAL")
	if real == "" {
		real = "/usr/sbin/runc"
	}
	// Go lifts the soft RLIMIT_NOFILE only inside this process; exec restores it.
	die(syscall.Exec(real, append([]string{real}, args...), os.Environ()))
}
