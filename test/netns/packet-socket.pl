# Sends one TCP SYN to 169.254.169.254:80 by a packet socket and prints "answered" when the SYN-ACK arrives. Arguments: index of the interface, its
# MAC, the MAC of the gateway, the own address. Perl, because Node has no packet sockets and every Debian has Perl.
use strict;
use warnings;

my ($index, $mac, $gateway, $address) = @ARGV;
my $bytes = sub { pack('C4', split(/\./, shift)) };
my $ethernet = sub { pack('(H2)6', split(/:/, shift)) };
my $checksum = sub {
  my $sum = unpack('%32n*', shift);
  $sum = ($sum >> 16) + ($sum & 0xffff) while $sum >> 16;
  return ~$sum & 0xffff;
};
my ($from, $to) = ($bytes->($address), $bytes->('169.254.169.254'));
my $tcp = pack('nnNNCCnnn', 40000, 80, 1000, 0, 5 << 4, 2, 64000, 0, 0);
substr($tcp, 16, 2) = pack('n', $checksum->($from . $to . pack('CCn', 0, 6, length $tcp) . $tcp));
my $ip = pack('CCnnnCCn', 0x45, 0, 20 + length $tcp, 1, 0, 64, 6, 0) . $from . $to;
substr($ip, 10, 2) = pack('n', $checksum->($ip));

# AF_PACKET, SOCK_RAW, IPv4 in network order.
socket(my $socket, 17, 3, unpack('S', pack('n', 0x0800))) or die "$!\n";
bind($socket, pack('Sa2lSCCa8', 17, pack('n', 0x0800), $index, 0, 0, 0, '')) or die "$!\n";
syswrite($socket, $ethernet->($gateway) . $ethernet->($mac) . pack('n', 0x0800) . $ip . $tcp) or die "$!\n";
$SIG{ALRM} = sub { die "no answer\n" };
alarm 3;
while (sysread($socket, my $frame, 2000)) {
  next unless substr($frame, 26, 4) eq $to and unpack('C', substr($frame, 47, 1)) == 0x12;
  print "answered\n";
  exit 0;
}
