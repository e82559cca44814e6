import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/** FlinkJob SETTINGS SQL: runs statements, which blank lines part, on a cluster inside this process. Ends when it is killed. */
public class FlinkJob {
    public static void main(String[] arguments) throws Exception {
        TableEnvironment tables = TableEnvironment.create(
            EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(read(Path.of(arguments[0]))).build());
        for (String statement : Files.readString(Path.of(arguments[1])).split("\n\n")) {
            tables.executeSql(statement).await();
        }
    }

    private static Configuration read(Path settings) throws IOException {
        Properties lines = new Properties();
        try (Reader reader = Files.newBufferedReader(settings)) {
            lines.load(reader);
        }
        Configuration read = new Configuration();
        lines.forEach((name, value) -> read.setString((String) name, (String) value));
        return read;
    }
}
