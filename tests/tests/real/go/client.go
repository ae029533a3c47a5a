// A client as Go programs write them; each check prints a line.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func get(url string) string {
	answer, err := http.Get(url)
	check(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	check(err)
	return string(body)
}

func main() {
	// Many at once, each with its own answer.
	var all sync.WaitGroup
	for n := 0; n < 50; n++ {
		all.Add(1)
		go func(n int) {
			defer all.Done()
			if got := get(fmt.Sprint("http://server:8080/", n)); got != fmt.Sprint("hello /", n) {
				log.Fatal(n, got)
			}
		}(n)
	}
	all.Wait()
	fmt.Println("http")

	conn, err := net.Dial("tcp", "server:9000")
	check(err)
	fmt.Fprintln(conn, "first")
	lines := bufio.NewReader(conn)
	line, err := lines.ReadString('\n')
	check(err)
	fmt.Print(line)
	fmt.Fprint(conn, "second")
	check(conn.(*net.TCPConn).CloseWrite())
	rest, err := io.ReadAll(lines)
	check(err)
	fmt.Println(string(rest))
	check(conn.Close())

	// It dials back.
	listener, err := net.Listen("tcp", ":7000")
	check(err)
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "called back")
	}))
	fmt.Println(get("http://server:8080/back?host=client"))
	check(listener.Close())

	// A role, and itself.
	role, err := net.DialTimeout("tcp", "role:7", 10*time.Second)
	check(err)
	fmt.Fprint(role, "to a role")
	check(role.(*net.TCPConn).CloseWrite())
	answer, err := io.ReadAll(role)
	check(err)
	fmt.Println(string(answer), role.RemoteAddr().(*net.TCPAddr).Port)
	own, err := net.Listen("tcp", "localhost:0")
	check(err)
	itself, err := net.Dial("tcp", own.Addr().String())
	check(err)
	accepted, err := own.Accept()
	check(err)
	fmt.Fprint(itself, "!")
	check(itself.Close())
	answer, err = io.ReadAll(accepted)
	check(err)
	fmt.Println(string(answer), accepted.RemoteAddr().String() == itself.LocalAddr().String())

	// What is not there.
	_, err = net.Dial("tcp", "server:1")
	fmt.Println(errors.Is(err, syscall.ECONNREFUSED))
	_, err = net.Dial("tcp", "later:1")
	fmt.Println(errors.Is(err, syscall.ECONNREFUSED))
	// Go 1.19 knows that it has found nothing, but makes no error of it.
	unknown, _ := net.LookupHost("nowhere.example.com")
	fmt.Println(len(unknown) == 0)
	_, err = net.ListenPacket("udp", ":0")
	fmt.Println(errors.Is(err, syscall.EPERM))
}
