// A server as Go programs write them: net/http and plain connections, a goroutine for each.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

func serve(conn *net.TCPConn) {
	defer conn.Close()
	lines := bufio.NewReader(conn)
	// The client does not send its second line until this has passed.
	if _, err := lines.ReadString('\n'); err != nil {
		log.Fatal("first line: ", err)
	}
	conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err := lines.ReadString('\n')
	fmt.Fprintln(conn, "timeout", errors.Is(err, os.ErrDeadlineExceeded))
	conn.SetReadDeadline(time.Time{})
	rest, err := io.ReadAll(lines)
	if err != nil {
		log.Fatal("rest: ", err)
	}
	fmt.Fprint(conn, strings.ToUpper(string(rest)))
	if err := conn.CloseWrite(); err != nil {
		log.Fatal("CloseWrite: ", err)
	}
}

func main() {
	plain, err := net.ListenTCP("tcp", &net.TCPAddr{Port: 9000})
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			conn, err := plain.AcceptTCP()
			if err != nil {
				log.Fatal(err)
			}
			go serve(conn)
		}
	}()
	http.HandleFunc("/back", func(w http.ResponseWriter, r *http.Request) {
		// The server dials, too: the one that asks, by name.
		answer, err := http.Get("http://" + r.URL.Query().Get("host") + ":7000/")
		if err != nil {
			http.Error(w, err.Error(), 502)
			return
		}
		defer answer.Body.Close()
		io.Copy(w, answer.Body)
	})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello ", r.URL.Path)
	})
	log.Fatal(http.ListenAndServe(":8080", nil))
}
