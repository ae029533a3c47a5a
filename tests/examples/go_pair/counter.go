// Counts the words of the line that each client sends.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"strings"
)

func main() {
	listener, err := net.Listen("tcp", ":7000")
	if err != nil {
		log.Fatal(err)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer client.Close()
			line, err := bufio.NewReader(client).ReadString('\n')
			if err != nil {
				log.Print(err)
				return
			}
			fmt.Fprintln(client, len(strings.Fields(line)))
		}()
	}
}
