# Hashes, expressions, sorting and joining: prints a checksum of each.
use strict;
use warnings;

my $size = $ARGV[0];
my $seed = 1;

sub number {
    $seed = ($seed * 1103515245 + 12345) % 2**31;
    return $seed >> 8;
}

sub say_sum {
    my ($what, $text) = @_;
    print "$what ", length($text), ' ', unpack('%32C*', $text), "\n";
}

my (%count, %lists);
for (1 .. $size) {
    my $n = number();
    my $word = 'word-' . $n % 5000 . '-' . 'x' x ($n % 40);
    $count{$word}++;
    push @{$lists{$n % 997}{tail}}, { number => $n, word => $word };
}
say_sum('count', join ',', map { "$_=$count{$_}" } sort keys %count);
say_sum('lists', join ',', map { scalar @{$lists{$_}{tail}} } sort { $a <=> $b } keys %lists);

my $text = join "\n", map { my $list = $lists{$_}{tail}; map { "$_->{number}:$_->{word}" } @$list } sort keys %lists;
say_sum('text', $text);
my $digits = 0;
$digits += $1 while $text =~ /word-(\d+)-x{7,}$/mg;
print "digits $digits\n";
(my $swapped = $text) =~ s/^(\d+):(\S+)$/scalar(reverse $2) . ':' . ($1 + 1)/gme;
say_sum('swapped', $swapped);
say_sum('sorted', join "\n", sort { length $a <=> length $b or $a cmp $b } split /\n/, $swapped);

my @queue;
for my $n (1 .. $size) {
    push @queue, [$n, 'y' x ($n % 300)];
    splice @queue, $n % @queue, 1 if @queue > 2000;
}
say_sum('queue', join ',', map { $_->[0] . $_->[1] } @queue);
