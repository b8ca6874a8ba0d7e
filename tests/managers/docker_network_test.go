package managers

import (
	"io"
	"net/http"
	"strings"
)

// dockerNetworkCases: what dockerd's hooks do to the network namespaces that
// the runtime makes.
var dockerNetworkCases = []dockerCase{
	{"NoNetwork", func(c *docker) {
		c.equal("interfaces", c.sh(`ls /sys/class/net; ip -4 -o addr show lo | grep -o 127.0.0.1`, "--network", "none"), "lo\n127.0.0.1")
	}},
	{"UserNetwork", func(c *docker) {
		c.network("192.0.2.0/24")
		c.detachAs(c.id+"-server", `mkdir /www; echo honey >/www/index.html; exec httpd -f -h /www`, "--network", c.id, "--network-alias", "hive")
		script := `until wget -q -O - http://hive/ 2>/dev/null; do sleep 0.1; done; cat /sys/class/net/eth0/address; ip -4 -o addr show eth0 | grep -o -E 'inet [0-9.]+'`
		got := c.sh(script, "--network", c.id, "--ip", "192.0.2.77", "--mac-address", "02:42:c0:00:02:4d")
		c.equal("client", got, "honey\n02:42:c0:00:02:4d\ninet 192.0.2.77")
	}},
	{"ConnectAndDisconnect", func(c *docker) {
		c.network("198.51.100.0/24")
		c.detach(`exec sleep 1000`, "--network", "bridge")
		c.equal("first", c.exec("ls", "/sys/class/net"), "eth0\nlo")
		c.docker("network", "connect", "--ip", "198.51.100.5", c.id, c.id).succeed(c.T)
		c.contains("connected", c.exec("ip", "-4", "-o", "addr"), "eth0", "inet 198.51.100.5/24")
		c.docker("network", "disconnect", c.id, c.id).succeed(c.T)
		c.equal("disconnected", c.exec("ls", "/sys/class/net"), "eth0\nlo")
	}},
	{"PublishedPort", func(c *docker) {
		c.detach(`mkdir /www; echo honey >/www/index.html; exec httpd -f -p 8080 -h /www`, "--publish", "127.0.0.1::8080")
		url := "http://" + c.docker("port", c.id, "8080").succeed(c.T)
		eventually(c.T, "an answer", func() bool {
			response, err := http.Get(url)
			if err != nil { // not yet listening
				return false
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			return err == nil && strings.TrimSpace(string(body)) == "honey"
		})
	}},
}

// network makes a network of the case's name.
func (c *docker) network(subnet string) {
	c.Helper()
	c.docker("network", "create", "--subnet", subnet, c.id).succeed(c.T)
	c.Cleanup(func() { c.docker("network", "rm", c.id).succeed(c.T) })
}
