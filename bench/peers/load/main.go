// Load sends requests that were signed beforehand over connections that stay open, compares every answer with what it
// has to be, and prints what it measured as JSON. One thread and one epoll: it must cost little beside the server.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Plan is what the program reads from the file that it is given.
type Plan struct {
	Address     string            `json:"address"`
	Connections int               `json:"connections"`
	Seconds     float64           `json:"seconds"`
	Once        bool              `json:"once"`   // each request at most once
	Bodies      map[string]string `json:"bodies"` // files, by name
	Requests    []*Request        `json:"requests"`
}

// Request is one request and what its answer has to be.
type Request struct {
	Head   string         `json:"head"`   // request line and headers, as they go over the wire
	Send   string         `json:"send"`   // name of the body that is sent
	Status int            `json:"status"` // of the answer
	Size   int            `json:"size"`   // Content-Length of the answer; -1 where it may be anything
	Body   string         `json:"body"`   // name of the body that the answer is part of
	From   int            `json:"from"`   // where in that body it begins
	ETag   string         `json:"etag"`
	Counts map[string]int `json:"counts"` // how often texts occur in the answer

	wire []byte // what is sent first: the head, and the body where it is small
	rest []byte // what is sent after that
	want []byte // what the answer's body has to be
	head bool   // the answer has no body
}

// Measured is what the program prints. Seconds and bytes.
type Measured struct {
	Requests     int     `json:"requests"`
	Errors       int     `json:"errors"`
	FirstError   string  `json:"first_error"`
	Reconnects   int     `json:"reconnects"`
	Seconds      float64 `json:"seconds"`
	Received     int64   `json:"received"`
	Sent         int64   `json:"sent"`
	P50          float64 `json:"p50"`
	P99          float64 `json:"p99"`
	FirstByteP99 float64 `json:"first_byte_p99"`
	CPU          float64 `json:"cpu"` // of this program
}

const (
	small       = 65536
	grace       = 60 * time.Second // for answers that are under way when the time is over
	headerLimit = 65536
)

type connection struct {
	fd        int
	request   *Request
	out       []byte // not sent yet, of wire
	rest      []byte // not sent yet, of rest
	waiting   bool   // for room to send
	sentAt    time.Time
	firstByte time.Duration
	buffer    []byte // headers, and bodies that are not compared as they come
	inBody    bool
	chunked   bool
	closes    bool
	remaining int // of the body
	got       int // of the body
}

type load struct {
	plan       Plan
	address    syscall.Sockaddr
	epoll      int
	pool       map[int]*connection
	next       int
	busy       int
	end        time.Time
	measured   Measured
	latencies  []time.Duration
	firstBytes []time.Duration
	chunk      []byte
}

func main() {
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: load PLAN.json"))
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail(err)
	}
	l := &load{pool: map[int]*connection{}, chunk: make([]byte, 1<<20)}
	if err := json.Unmarshal(text, &l.plan); err != nil {
		fail(err)
	}
	if err := l.prepare(); err != nil {
		fail(err)
	}
	if err := l.run(); err != nil {
		fail(err)
	}
	l.tell()
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "load:", err)
	os.Exit(1)
}

// prepare reads the bodies and puts the requests together.
func (l *load) prepare() error {
	if len(l.plan.Requests) == 0 || l.plan.Connections < 1 || l.plan.Seconds <= 0 {
		return fmt.Errorf("a plan needs requests, connections and seconds")
	}
	bodies := map[string][]byte{}
	for name, path := range l.plan.Bodies {
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		bodies[name] = body
	}
	for _, each := range l.plan.Requests {
		body := bodies[each.Send]
		each.wire = []byte(each.Head)
		if len(body) <= small {
			each.wire = append(each.wire, body...)
		} else {
			each.rest = body
		}
		if each.Body != "" {
			whole := bodies[each.Body]
			if each.Size < 0 || each.From+each.Size > len(whole) {
				return fmt.Errorf("the answer is no part of body %q", each.Body)
			}
			each.want = whole[each.From : each.From+each.Size]
		}
		each.head = bytes.HasPrefix(each.wire, []byte("HEAD "))
	}
	address, err := net.ResolveTCPAddr("tcp4", l.plan.Address)
	if err != nil {
		return err
	}
	if !address.IP.IsLoopback() {
		return fmt.Errorf("only servers on this machine's loopback are loaded, and %s is not", l.plan.Address)
	}
	l.address = &syscall.SockaddrInet4{Port: address.Port, Addr: [4]byte(address.IP.To4())}
	return nil
}

func (l *load) run() error {
	var err error
	if l.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return err
	}
	began := time.Now()
	l.end = began.Add(time.Duration(l.plan.Seconds * float64(time.Second)))
	last := l.end.Add(grace)
	for range l.plan.Connections {
		if request := l.take(began); request != nil {
			if err := l.connect(request); err != nil {
				return err
			}
		}
	}
	events := make([]syscall.EpollEvent, 512)
	for l.busy > 0 {
		count, err := syscall.EpollWait(l.epoll, events, 1000)
		if err != nil && err != syscall.EINTR {
			return err
		}
		if time.Now().After(last) {
			return fmt.Errorf("%d answers did not come within %v of the end", l.busy, grace)
		}
		for _, event := range events[:max(count, 0)] {
			c := l.pool[int(event.Fd)]
			if c == nil {
				continue
			}
			if event.Events&syscall.EPOLLOUT != 0 {
				if err := l.send(c); err != nil {
					l.broken(c, err)
					continue
				}
			}
			if event.Events&^uint32(syscall.EPOLLOUT) != 0 {
				l.receive(c)
			}
		}
	}
	l.measured.Seconds = time.Since(began).Seconds()
	return nil
}

// take is the next request; nil when there is none or the time is over.
func (l *load) take(now time.Time) *Request {
	if !now.Before(l.end) || l.plan.Once && l.next >= len(l.plan.Requests) {
		return nil
	}
	request := l.plan.Requests[l.next%len(l.plan.Requests)]
	l.next++
	return request
}

// connect opens a connection and sends a request over it.
func (l *load) connect(request *Request) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err = syscall.Connect(fd, l.address); err != nil {
		return err
	}
	if err = syscall.SetNonblock(fd, true); err != nil {
		return err
	}
	if err = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return err
	}
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
	if err = syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
		return err
	}
	c := &connection{fd: fd}
	l.pool[fd] = c
	l.busy++
	l.begin(c, request, time.Now())
	return nil
}

// begin sends a request over a connection that is free.
func (l *load) begin(c *connection, request *Request, now time.Time) {
	c.request, c.out, c.rest = request, request.wire, request.rest
	c.sentAt, c.firstByte = now, 0
	c.buffer, c.inBody, c.chunked, c.closes = c.buffer[:0], false, false, false
	c.remaining, c.got = 0, 0
	if err := l.send(c); err != nil {
		l.broken(c, err)
	}
}

// send goes on with what is not sent yet.
func (l *load) send(c *connection) error {
	for _, part := range []*[]byte{&c.out, &c.rest} {
		for len(*part) > 0 {
			count, err := syscall.Write(c.fd, (*part)[:min(len(*part), 1<<20)])
			if err == syscall.EINTR {
				continue
			}
			if err == syscall.EAGAIN {
				return l.watch(c, true)
			}
			if err != nil {
				return err
			}
			l.measured.Sent += int64(count)
			*part = (*part)[count:]
		}
	}
	return l.watch(c, false)
}

// watch asks to be told of room to send, or no longer.
func (l *load) watch(c *connection, room bool) error {
	if c.waiting == room {
		return nil
	}
	c.waiting = room
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(c.fd)}
	if room {
		event.Events |= syscall.EPOLLOUT
	}
	return syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_MOD, c.fd, &event)
}

func (l *load) receive(c *connection) {
	count, err := syscall.Read(c.fd, l.chunk)
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return
	}
	if err == nil && count == 0 {
		err = fmt.Errorf("the server closed the connection")
	}
	if err != nil {
		l.broken(c, err)
		return
	}
	now := time.Now()
	if c.firstByte == 0 {
		c.firstByte = now.Sub(c.sentAt)
	}
	l.measured.Received += int64(count)
	whole, err := c.add(l.chunk[:count])
	if err != nil {
		l.wrong(c, err)
		return
	}
	if whole {
		l.done(c, now)
	}
}

// add takes what arrived; true when the answer is whole, an error when it is not what it has to be.
func (c *connection) add(data []byte) (bool, error) {
	if c.inBody {
		return c.addBody(data)
	}
	c.buffer = append(c.buffer, data...)
	end := bytes.Index(c.buffer, []byte("\r\n\r\n"))
	if end < 0 {
		if len(c.buffer) > headerLimit {
			return false, fmt.Errorf("endless headers")
		}
		return false, nil
	}
	if err := c.headers(c.buffer[:end+2]); err != nil {
		return false, err
	}
	c.inBody = true
	rest := c.buffer[end+4:]
	if c.chunked || len(c.request.Counts) > 0 {
		c.buffer = append([]byte(nil), rest...)
		return c.addBody(nil)
	}
	return c.addBody(rest)
}

func (c *connection) headers(text []byte) error {
	r := c.request
	if len(text) < 12 || string(text[9:12]) != strconv.Itoa(r.Status) {
		return fmt.Errorf("status %d expected: %.600q", r.Status, c.buffer)
	}
	length, tagged := -1, r.ETag == ""
	_, text, _ = bytes.Cut(text, []byte("\r\n"))
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte("\r\n"))
		text = rest
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case is(name, "content-length"):
			var err error
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		case is(name, "transfer-encoding"):
			c.chunked = is(value, "chunked")
		case is(name, "connection"):
			c.closes = is(value, "close")
		case is(name, "etag"):
			tagged = tagged || string(bytes.Trim(value, `"`)) == r.ETag
		}
	}
	if !tagged {
		return fmt.Errorf("ETag %q expected: %.600q", r.ETag, c.buffer)
	}
	if r.Size >= 0 && length >= 0 && length != r.Size || r.Size > 0 && length < 0 && !c.chunked {
		return fmt.Errorf("Content-Length %d expected, not %d", r.Size, length)
	}
	if !r.head && r.Status != 204 {
		if length < 0 && !c.chunked {
			return fmt.Errorf("an answer without its length: %.600q", c.buffer)
		}
		c.remaining = max(length, 0)
	}
	c.chunked = c.chunked && !r.head
	return nil
}

func is(found []byte, text string) bool {
	return len(found) == len(text) && bytes.EqualFold(found, []byte(text))
}

func (c *connection) addBody(data []byte) (bool, error) {
	r := c.request
	if c.chunked || len(r.Counts) > 0 {
		c.buffer = append(c.buffer, data...)
		body := c.buffer
		if c.chunked {
			var whole bool
			var err error
			if body, whole, err = unchunk(c.buffer); err != nil || !whole {
				return false, err
			}
		} else if len(body) < c.remaining {
			return false, nil
		}
		return true, r.check(body)
	}
	if len(data) > c.remaining-c.got {
		return false, fmt.Errorf("more than the answer")
	}
	if r.want != nil && !bytes.Equal(data, r.want[c.got:c.got+len(data)]) {
		return false, fmt.Errorf("the answer's body is not what was stored, within its bytes %d to %d", c.got, c.got+len(data))
	}
	c.got += len(data)
	return c.got == c.remaining, nil
}

// check compares a body that was taken as a whole.
func (r *Request) check(body []byte) error {
	if r.want != nil && !bytes.Equal(body, r.want) {
		return fmt.Errorf("the answer's body is not what was stored")
	}
	for text, count := range r.Counts {
		if found := bytes.Count(body, []byte(text)); found != count {
			return fmt.Errorf("%q occurs %d times, not %d: %.600q", text, found, count, body)
		}
	}
	return nil
}

// unchunk is the body of an answer in chunks; false while it is not whole.
func unchunk(data []byte) ([]byte, bool, error) {
	var body []byte
	for {
		line, rest, found := bytes.Cut(data, []byte("\r\n"))
		if !found {
			return nil, false, nil
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		length, err := strconv.ParseUint(string(bytes.TrimSpace(size)), 16, 31)
		if err != nil {
			return nil, false, err
		}
		if uint64(len(rest)) < length+2 {
			return nil, false, nil
		}
		if length == 0 {
			return body, true, nil
		}
		body = append(body, rest[:length]...)
		data = rest[length+2:]
	}
}

func (l *load) done(c *connection, now time.Time) {
	l.measured.Requests++
	l.latencies = append(l.latencies, now.Sub(c.sentAt))
	l.firstBytes = append(l.firstBytes, c.firstByte)
	request := l.take(now)
	if request == nil || c.closes {
		l.close(c)
		if request != nil {
			l.measured.Reconnects++
			if err := l.connect(request); err != nil {
				l.note(err)
			}
		}
		return
	}
	l.begin(c, request, now)
}

// broken is a connection that ended: between two answers a server may do that, and the request goes over a new one.
func (l *load) broken(c *connection, err error) {
	if c.firstByte != 0 || l.measured.Reconnects > l.measured.Requests {
		l.wrong(c, err)
		return
	}
	l.close(c)
	l.measured.Reconnects++
	if err := l.connect(c.request); err != nil {
		l.note(err)
	}
}

// wrong is an answer that is not what it has to be.
func (l *load) wrong(c *connection, err error) {
	l.note(err)
	l.close(c)
	if request := l.take(time.Now()); request != nil {
		if err := l.connect(request); err != nil {
			l.note(err)
		}
	}
}

func (l *load) note(err error) {
	if l.measured.Errors++; l.measured.Errors == 1 {
		l.measured.FirstError = err.Error()
	}
}

func (l *load) close(c *connection) {
	syscall.Close(c.fd)
	delete(l.pool, c.fd)
	l.busy--
}

func (l *load) tell() {
	l.measured.P50 = percentile(l.latencies, 0.50)
	l.measured.P99 = percentile(l.latencies, 0.99)
	l.measured.FirstByteP99 = percentile(l.firstBytes, 0.99)
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err == nil {
		l.measured.CPU = time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
	}
	if err := json.NewEncoder(os.Stdout).Encode(l.measured); err != nil {
		fail(err)
	}
}

// percentile is what that share of the values stays at or under, in seconds; 0 of none.
func percentile(values []time.Duration, share float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(int(share*float64(len(values))), len(values)-1)].Seconds()
}
